"""The documentation site, built as `make docs` builds it."""

import pkgutil
import re
from urllib.parse import urlsplit

import pytest

import mldfr
from test_readme import LINKED, ROOT

mkdocs = pytest.importorskip("mkdocs.commands.build")
pytest.importorskip("material")
config = pytest.importorskip("mkdocs.config")

MESSAGE = re.compile(r"`([^`]+)`")
LOADED = re.compile(
    r'<(?:script|img|iframe|source)\b[^>]*?\ssrc="([^"]+)"|<link\b(?![^>]*rel="canonical")[^>]*?\shref="([^"]+)"'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a warning, such as of a link that leads nowhere, is an error."""
    out = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        mkdocs.build(config.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(out), strict=True))
    return out


def test_pages_load_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        for found in LOADED.findall(page.read_text(encoding="utf-8")):
            address = urlsplit("".join(found))
            assert not address.scheme or address.scheme == "data", page
            assert not address.netloc, page


def test_formulas_are_mathml(site):
    page = (site / "methods" / "cam.html").read_text(encoding="utf-8")
    assert page.count("<math") >= 5
    assert "arithmatex" not in page


def test_llms_txt_names_every_page(site):
    named = re.findall(r"^- \[.+\]\((\S+)\): \S.*\.$", (site / "llms.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert all((site / place).is_file() for place in named)
    assert {place.rpartition(".")[0] for place in named} == {
        str(page.relative_to(site).with_suffix("")) for page in site.rglob("*.html") if page.name != "404.html"
    }


def test_the_reference_has_what_is_imported_from_the_package(site):
    pages = (page.read_text(encoding="utf-8") for page in (site / "api").glob("*.html"))
    shown = {place.rpartition(".")[2] for page in pages for place in re.findall(r'id="(mldfr\.[\w.]+)"', page)}
    assert set(mldfr.__all__) <= shown


def test_messages_in_troubleshooting_are_messages_of_ours():
    """Of each message the longest part that does not change with the case stands in the code."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    code = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # strings in several lines
    messages = [part for line in re.findall(r"^(`.+)\n:", text, re.MULTILINE) for part in MESSAGE.findall(line)]
    assert len(messages) > 20
    for message in messages:
        if message == "No space left on device":  # the system's
            continue
        parts = re.split(r"\.\.\.|'[^']*'|\(|\)|\d+(?:\.\d+)?|: tench.*|--\w+|\bnan\b", message)
        longest = max((part.strip(" ;,:?") for part in parts), key=len)
        assert longest in code, message


@pytest.mark.parametrize("page", LINKED)
def test_names_in_the_text_are_names_in_the_code(page):
    for name in re.findall(r"`(mldfr(?:\.\w+)+)", (ROOT / page).read_text(encoding="utf-8")):
        assert pkgutil.resolve_name(name), name


def test_the_map_of_the_code_has_every_room_and_no_other():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = {room.name for room in (ROOT / "src" / "mldfr").iterdir() if not room.name.startswith(("_", "py.typed"))}
    assert set(re.findall(r"^\| `([a-z_]+(?:\.py)?)/?`", text, re.MULTILINE)) == rooms
