"""Files of JSON lines that are added to: found again where they begin."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldfr.core.errors import DataError
from mldfr.core.json_files import is_whole
from mldfr.jobs.lines import all_bytes_at, line_at, placed_lines


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("lines") / "lines.jsonl"


@given(st.lists(st.text(max_size=20), max_size=8), st.binary(max_size=9).filter(lambda rest: not is_whole(rest)))
def test_every_finished_line_is_found_again_where_it_begins(place, names, rest):
    rest = rest.replace(b"\n", b"")
    written = [json.dumps({"id": name, "n": number}, ensure_ascii=number % 2 == 0) for number, name in enumerate(names)]
    content = b"".join(line.encode("utf-8", "surrogatepass") + b"\n" for line in written)
    place.write_bytes(content + rest)
    found = list(placed_lines(place, names=("id", "n"), what="a line"))
    assert [line.content for line in found] == [json.loads(line) for line in written]
    assert b"".join(all_bytes_at(place, [line.place for line in found])) == content
    assert [line_at(place, line.place) for line in found] == [line.content for line in found]


def test_a_last_line_that_lacks_its_end_alone_is_found(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": "a"}\n{"id": "b"}')
    found = list(placed_lines(file, names=("id",), what="a line"))
    assert [line_at(file, line.place) for line in found] == [{"id": "a"}, {"id": "b"}]


@pytest.mark.parametrize("line", ['{"n": 1}', '{"id": 3, "n": 1}', '{"id": "a"}', "[]", "nothing"])
def test_a_line_of_another_kind_is_named(tmp_path, line):
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": "a", "n": 1}\n' + line + "\n")
    with pytest.raises(DataError, match=r"a\.jsonl"):
        list(placed_lines(file, names=("id", "n"), what="a line"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.jsonl: cannot be read \(No such file"):
        list(placed_lines(tmp_path / "a.jsonl", names=("id",), what="a line"))
