"""Lines of JSON that a killed process may leave unfinished."""

import pytest

from mldfr.core.json_files import BLOCK, append_line, cut_unfinished, read_whole_lines


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b"", b""),
        (b'{"a": 1', b""),
        (b'{"a": 1}', b'{"a": 1}\n'),
        (b'{"a": 1}\n{"b": 2}', b'{"a": 1}\n{"b": 2}\n'),
        (b'{"a": 1}\n2', b'{"a": 1}\n'),
        (b'{"a": 1}\n', b'{"a": 1}\n'),
        (b'{"a": 1}\n{"b"', b'{"a": 1}\n'),
        (b'{"a": 1}\n{"b": "' + b"x" * 3 * BLOCK, b'{"a": 1}\n'),
        (b"y" * (BLOCK - 1) + b"\n" + b"x" * BLOCK, b"y" * (BLOCK - 1) + b"\n"),
    ],
)
def test_only_whole_lines_stay(tmp_path, content, kept):
    file = tmp_path / "lines.jsonl"
    file.write_bytes(content)
    cut_unfinished(file)
    assert file.read_bytes() == kept
    cut_unfinished(tmp_path / "missing.jsonl")


def test_lines_that_are_added_are_read(tmp_path):
    file = tmp_path / "lines.jsonl"
    append_line(file, {"id": "猫"})
    append_line(file, {"id": "b"})
    with file.open("a") as lines:
        lines.write('{"id"')
    assert read_whole_lines(file) == [{"id": "猫"}, {"id": "b"}]


def test_a_last_line_that_lacks_its_end_alone_is_read(tmp_path):
    file = tmp_path / "lines.jsonl"
    file.write_text('{"id": "a"}\n{"id": "b"}')
    assert read_whole_lines(file) == [{"id": "a"}, {"id": "b"}]
