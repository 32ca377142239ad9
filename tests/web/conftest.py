"""Fixtures of this room."""

import signal
import socket
import threading
import time

import pytest
from fastapi.testclient import TestClient
from opened_page import (
    CHROMIUM,
    SPY,
)
from playwright.sync_api import sync_playwright
from review_page import ready
from served import (
    ORIGIN,
    app_of,
    tiny,
)

from forked import Program
from helpers import at_size
from mldfr.web.app import create_app
from mldfr.web.server import make_server
from mldfr.web.settings import Settings


@pytest.fixture(scope="module")
def network():
    return tiny()


@pytest.fixture(scope="module")
def client(network):
    with TestClient(app_of(network, max_bytes=2**20, max_pixels=250_000), base_url=ORIGIN) as client:
        yield client


@pytest.fixture(scope="module")
def model(localizer):
    """The embedded model, which looks at pictures in a smaller size here."""
    return at_size(localizer, 112)


@pytest.fixture(scope="module")
def address(model):
    """Its server on a free port."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = make_server(create_app(model, Settings(model_name="imagenet", max_bytes=2**20)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as manager:
        browser = manager.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, address):
    """Open the page; at the end it must have stayed with its server and made no complaint."""
    contexts, complaints, requests = [], [], []

    def open_page(*, prepare=lambda page: None, **options):
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.add_init_script(SPY)
        page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        prepare(page)
        page.goto(address)
        page.wait_for_selector(".samples img")
        return page

    open_page.complaints = complaints
    yield open_page
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.violations") == []
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith((f"{address}/", f"blob:{address}/", "data:"))] == []


@pytest.fixture
def page(open_page):
    return open_page()


@pytest.fixture
def serve():
    """Start `mldfr serve FOLDER`; what still runs at the end is ended."""
    servers = []

    def serve(folder, port):
        server = Program("serve", folder, "--port", port)
        servers.append(server)
        deadline = time.monotonic() + 60
        while "open http" not in server.stderr:
            assert server.poll() is None, server.stderr
            assert time.monotonic() < deadline, server.stderr
            time.sleep(0.05)
        return server

    yield serve
    for server in servers:
        server.send_signal(signal.SIGINT)
        server.wait(30)


@pytest.fixture
def open_review(browser):
    contexts, complaints = [], []

    def open_review(address, **options):
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.add_init_script(SPY)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        ready(page)
        return page

    open_review.complaints = complaints
    yield open_review
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.violations") == []
        context.close()
    assert complaints == []
