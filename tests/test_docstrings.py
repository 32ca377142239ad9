"""Examples in docstrings are run, and what the reference shows has one."""

import doctest
import inspect
import re
import shutil
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
ENTRY = re.compile(r"^::: (\S+)\n(?:    options:\n      members: \[(.*)\])?", re.MULTILINE)


def shown():
    """The modules in the reference, and the functions and classes of each that it shows."""
    found = {}
    for page in sorted(ROOT.glob("docs/api/*.md")):
        for name, members in ENTRY.findall(page.read_text(encoding="utf-8")):
            module, names = name, re.split(r",\s*", members) if members else None
            try:
                import_module(module)
            except ModuleNotFoundError:  # of one function or class alone
                module, _, member = name.rpartition(".")
                names = [member]
            found.setdefault(module, []).extend(names or public(import_module(module)))
    return found


def public(module):
    members = inspect.getmembers(module, lambda each: inspect.isfunction(each) or inspect.isclass(each))
    return [name for name, each in members if not name.startswith("_") and each.__module__ == module.__name__]


SHOWN = shown()


@pytest.fixture
def pictures(tmp_path, jpegs, monkeypatch):
    """A folder to be in, with `photo.jpg` and pictures `sorted` into classes."""
    places = {"photo.jpg": "chelsea", "sorted/cat/1.jpg": "chelsea", "sorted/cup/1.jpg": "coffee"}
    for place, name in places.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(jpegs[name], tmp_path / place)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", SHOWN)
def test_examples_hold(name, pictures):
    runner, report = doctest.DocTestRunner(optionflags=FLAGS), []
    for test in doctest.DocTestFinder(exclude_empty=True).find(import_module(name), name):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.mark.parametrize("name", SHOWN)
def test_examples_are_a_section_that_the_reference_knows(name):
    source = inspect.getsource(import_module(name))
    assert not re.search(r"^ *Example:\n +>>>", source, re.MULTILINE), "call it Examples"


@pytest.mark.parametrize("name", [name for name in SHOWN if name.startswith("mldfr.api.")])
def test_verbs_say_all_that_they_take(name):
    """But for one that takes what another does, and says so."""
    module = import_module(name)
    for function in filter(inspect.isfunction, (getattr(module, member) for member in SHOWN[name])):
        _, said, arguments = inspect.getdoc(function).partition("Args:\n")
        heads = ", ".join(re.findall(r"^    (\w[\w, ]*):", arguments, re.MULTILINE)).split(", ")
        assert not said or set(inspect.signature(function).parameters) <= set(heads), function.__name__


@pytest.mark.parametrize("name", [name for name in SHOWN if not name.startswith("mldfr.api.")])
def test_what_the_reference_shows_has_an_example(name):
    """But for the verbs, which need data and minutes; the pages show those at work."""
    module = import_module(name)
    members = {member: getattr(module, member) for member in SHOWN[name]}
    plain = [member for member, each in members.items() if not (inspect.isclass(each) and issubclass(each, Exception))]
    assert [member for member in plain if ">>>" not in (inspect.getdoc(members[member]) or "")] == []
