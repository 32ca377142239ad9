"""The page `index.html` beside annotations: all pictures with their boxes, the most doubtful first, without a server.

Nothing is written for a picture but a line of text: the page shows the user's own files and draws boxes over them. The
lines lie in scripts of 100 pictures, as a page from a disk may load scripts but no JSON, and a list of all pictures'
classes lies beside them, so that any filter is answered from it.
"""

import json
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import quote

from mldfr.annotation.collect import FAILED, Collection, Row
from mldfr.annotation.doubt_words import DOUBT, SCORE, why_doubtful
from mldfr.annotation.picture_files import picture_file
from mldfr.annotation.review import REVIEW, review_order
from mldfr.core.files import replacing, way_to, writing
from mldfr.core.text import escaped

PAGE = "index.html"
LINES = "review-pages"
"""The folder of what the page loads. What one page loads lies in a folder of its own inside, so that a page that is
open, or was the last to be finished, never finds the lines of another."""
CHUNK = 100
"""Pictures in a script."""


def write_review_page(collection: Collection, out: Path, *, failed: int) -> Path:
    """Write `index.html` and what it loads; the page that was there stays whole until the new one is.

    Args:
        collection: What was found, and corrected.
        out: The folder.
        failed: How many pictures `failed.csv` names.

    Raises:
        WriteError: It cannot be written.
    """
    lines = out / LINES / token_hex(8)
    try:
        with writing(lines):
            lines.mkdir(parents=True)
            total, checked = _write_lines(collection, lines, out)
        facts = {
            "folder": f"{LINES}/{lines.name}",
            "chunk": CHUNK,
            "total": total,
            "checked": checked,
            "failed": failed,
            "classes": collection.classes,
            "command": escaped(shlex.join(["mldfr", "serve", str(out)])),
            "title": escaped(out.resolve().name),
            "failures": FAILED,
            "order": REVIEW,
            "score": SCORE,
            "doubt": DOUBT,
        }
        with replacing(out / PAGE) as temporary:
            temporary.write_text(_page(facts), encoding="utf-8")
    except BaseException:
        shutil.rmtree(lines, ignore_errors=True)
        raise
    for other in (out / LINES).iterdir():
        if other != lines:
            shutil.rmtree(other, ignore_errors=True)
    return out / PAGE


def _write_lines(collection: Collection, folder: Path, out: Path) -> tuple[int, int]:
    """Write the scripts; how many pictures there are, and how many of them a person has checked."""
    total = checked = 0
    entries = _entries(collection, out)
    with (folder / "classes.js").open("w", encoding="utf-8") as classes:
        classes.write("reviewClasses([")
        for number, chunk in enumerate(iter(lambda: list(islice(entries, CHUNK)), [])):
            text = ",\n".join(_json(entry) for entry in chunk)
            (folder / f"{number}.js").write_text(f"reviewLines({number}, [\n{text}\n]);\n", encoding="utf-8")
            classes.writelines(f"{_json(entry['labels'])},\n" for entry in chunk)
            total += len(chunk)
            checked += sum("checked" in entry for entry in chunk)
        classes.write("]);\n")
    return total, checked


def _entries(collection: Collection, out: Path) -> Iterator[dict[str, Any]]:
    multi_label = bool(collection.setting.get("multi_label"))
    for doubt, index in review_order(collection):
        row = collection.row(index)
        image = collection.image(row)
        boxes = [[box.class_index, box.score, *(round(value, 1) for value in box.xyxy)] for box in image.boxes]
        entry = {
            "name": image.name,
            "file": _link(row, collection.root(index), out),
            "size": [image.width, image.height],
            "labels": sorted({*(label["class"] for label in row["labels"]), *(box.class_index for box in image.boxes)}),
            "boxes": [[index, None if score is None else round(score, 3), *xyxy] for index, score, *xyxy in boxes],
            "doubt": round(doubt, 3),
            "why": why_doubtful(row, multi_label=multi_label),
        }
        yield entry | {"checked": 1} if image.checked else entry


def _link(row: Row, root: Path | None, out: Path) -> str:
    """The address of a picture, seen from the page; "" where nobody knows where it lies."""
    if root is None:
        return ""
    way = way_to(picture_file(row, root), out)
    return way.as_uri() if way.is_absolute() else quote(os.fsencode(way.as_posix()))


def _page(facts: Mapping[str, Any]) -> str:
    parts = {name: _asset(f"page.{name}") for name in ("css", "js")}
    page = _asset("page.html")
    for name, text in {**parts, "facts": _json(facts)}.items():
        page = page.replace(f"{{{{ {name} }}}}", text)
    return page


def _asset(name: str) -> str:
    return (files("mldfr.annotation") / "page" / name).read_text(encoding="utf-8")


def _json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON that may stand in a script of HTML, whatever is in a name."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
