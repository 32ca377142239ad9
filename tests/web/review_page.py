"""The page of `mldfr serve FOLDER`, as several tests use it."""

import socket


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def ready(page, rank=None):
    """Wait until a picture is shown and all is saved."""
    page.wait_for_function(
        "rank => !rank || document.querySelector('#rank').textContent.startsWith(`${rank} of`)", arg=rank
    )
    page.wait_for_function("() => document.querySelector('#photo').naturalWidth > 0")
    # What listens for the picture has heard of it, however slow the machine is: only then keys mean boxes.
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
    saved(page)


def saved(page):
    page.wait_for_selector("main[aria-busy=false]", state="attached")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_selector("main[aria-busy=false]", state="attached")


def name_of(page):
    return page.locator("#name").inner_text()


def corners(page):
    """The selected box, as its fields have it, which are filled a frame after it is selected."""
    page.wait_for_function("() => document.querySelector('#x0').value")
    return [float(page.locator(f"#{corner}").input_value()) for corner in ("x0", "y0", "x1", "y1")]


def drag(page, selector, dx, dy):
    frame = page.locator(selector).bounding_box()
    at = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(at[0] + dx, at[1] + dy, steps=4)
    page.mouse.up()
    saved(page)


def draw(page, left, top, side=0.3):
    """Draw a box with the mouse, in shares of the picture; its corners."""
    frame = page.locator("#stage").bounding_box()
    x, y = frame["x"] + left * frame["width"], frame["y"] + top * frame["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + side * frame["width"], y + side * frame["height"], steps=4)
    page.mouse.up()
    saved(page)
    return corners(page)
