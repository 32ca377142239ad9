"""What MkDocs does not do by itself: pages from files outside of this folder, formulas as MathML, and llms.txt."""

import html
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = {
    "README.md": "index.md",
    "benchmarks/README.md": "benchmarks.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "CITATION.cff": "CITATION.cff",
}
"""Files of the repository, and where they lie on the site."""
INSIDE = {place: source for source, place in OUTSIDE.items()}

LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)

navigation: list[Navigation] = []


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages whose files lie elsewhere."""
    for source, place in OUTSIDE.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Remember the pages and their sections for llms.txt."""
    navigation[:] = [nav]
    return nav


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links that hold in the repository hold on the site; only pages of a section have its list beside them."""
    if page.parent is None:
        page.meta["hide"] = ["navigation"]
    here = page.file.src_uri
    folder = posixpath.dirname(INSIDE.get(here, f"docs/{here}"))

    def on_site(match: re.Match[str]) -> str:
        there = posixpath.normpath(posixpath.join(folder, match[1]))
        place = OUTSIDE.get(there, there.removeprefix("docs/"))
        return posixpath.relpath(place, posixpath.dirname(here) or ".")

    return LINK.sub(on_site, markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn formulas into MathML, which browsers draw without a script."""

    def mathml(match: re.Match[str]) -> str:
        display = "block" if match[1] == "div" else "inline"
        return f"<{match[1]} class='formula'>{convert(html.unescape(match[2]).strip(), display=display)}</{match[1]}>"

    return FORMULA.sub(mathml, content)


def on_post_build(config: MkDocsConfig) -> None:
    """Write llms.txt (llmstxt.org): every page with its first sentence; written pages as Markdown beside their HTML."""
    site = Path(config.site_dir)
    lines = [f"# {config.site_name}", "", f"> {config.site_description}"]
    for section, pages in sections(navigation[0]):
        lines += ["", f"## {section}", ""]
        for page in pages:
            text = page.markdown or ""
            place = page.url
            if "\n::: " not in text:  # what is made of docstrings is no text yet
                place = page.file.src_uri
                (site / place).write_text(text, encoding="utf-8")
            lines.append(f"- [{page.title}]({place}): {first_sentence(text)}")
    (site / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def sections(nav: Navigation) -> Iterator[tuple[str, list[Page]]]:
    """The pages by section; those without one come first."""
    yield "Start", [item for item in nav.items if isinstance(item, Page)]
    for item in nav.items:
        if isinstance(item, Section):
            yield item.title, [page for page in item.children if isinstance(page, Page)]


def first_sentence(markdown: str) -> str:
    """The first sentence of a page, without its links."""
    plain = re.sub(r"^```.*?^```$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"^#.*$", "", plain, flags=re.MULTILINE))
    paragraph = " ".join(next(filter(None, map(str.strip, plain.split("\n\n"))), "").split())
    return re.split(r"(?<=[.:]) ", paragraph)[0].rstrip(".:") + "."
