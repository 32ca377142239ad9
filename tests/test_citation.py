"""How to cite is said twice, for people and for programs: the same."""

import re
from importlib.metadata import version
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_bibtex_says_what_the_citation_file_says():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (entries,) = re.findall(r"^```bibtex\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S | re.M)
    paper, software = entries.split("\n\n")
    (known,) = citation["references"]
    authors = " and ".join(f"{who['family-names']}, {who['given-names']}" for who in known["authors"])
    assert fields(paper) == {"title": known["title"], "author": authors, "journal": known["journal"], "year": "2021"}
    assert fields(software)["version"] == citation["version"] == version("mldfr")
    assert fields(software)["license"] == citation["license"]


def fields(entry):
    return {name: value.strip("{}") for name, value in re.findall(r"^  (\w+) *= (\{.*\}),?$", entry, re.M)}
