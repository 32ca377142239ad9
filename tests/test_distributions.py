"""What is built to be sent round: the source distribution, and of it the wheel, which works by itself."""

import os
import shutil
import subprocess
import sys
import tarfile
from zipfile import ZipFile

import pytest

from documented import ROOT

build = pytest.importorskip("hatchling.build", reason="needs hatchling: pip install 'hatchling>=1.27'")
MADE = {"PKG-INFO"}
"""What the source distribution has that no one has written."""


def build_in(folder, out, what):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return out / getattr(build, what)(str(out))


def unpacked(archive, out):
    """The only folder in a source distribution."""
    with tarfile.open(archive) as files:
        files.extractall(out, filter="data")
    (folder,) = out.iterdir()
    return folder


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The source distribution, unpacked."""
    built = build_in(ROOT, tmp_path_factory.mktemp("sdist"), "build_sdist")
    return unpacked(built, tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    """The wheel that is built of it."""
    return build_in(source, tmp_path_factory.mktemp("wheel"), "build_wheel")


def test_the_source_is_what_is_under_version_control_tests_and_all(source):
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no version control here to compare with")
    found = files_in(source) - MADE
    assert _listed("--cached") <= found
    assert found <= _listed("--cached", "--others", "--exclude-standard")  # what is new may not be known to git yet


def _listed(*options):
    """Files that git knows of, but for those that are deleted."""
    listed = subprocess.run(["git", "ls-files", *options], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


def test_what_lies_about_stays_at_home(source, tmp_path):
    shutil.copytree(source, tmp_path / "copy")
    for name in ("boxes/annotations.json", "photos/1.jpg", "measured/metrics.json"):
        (tmp_path / "copy" / name).parent.mkdir()
        (tmp_path / "copy" / name).write_text("mine")
    (tmp_path / "out").mkdir()
    again = unpacked(build_in(tmp_path / "copy", tmp_path / "out", "build_sdist"), tmp_path / "again")
    assert files_in(again) == files_in(source)


def test_the_wheel_has_the_package_whole_and_alone(source, wheel):
    with ZipFile(wheel) as files:
        names = {name for name in files.namelist() if ".dist-info/" not in name}
    assert names == {name.removeprefix("src/") for name in files_in(source) if name.startswith("src/")}


def test_the_wheel_locates(wheel, photo, tmp_path):
    with ZipFile(wheel) as files:
        files.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    code = "import mldfr, runpy; print(mldfr.__file__); runpy.run_module('mldfr', run_name='__main__', alter_sys=True)"
    arguments = ["locate", str(photo), "--scales", "1", "--out", "out", "--device", "cpu"]
    located = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert located.returncode == 0, located.stderr
    assert located.stdout.startswith(str(tmp_path / "site"))
    assert (tmp_path / "out" / "predictions.jsonl").read_text().count("\n") == 1
