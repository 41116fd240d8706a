from __future__ import annotations

from pathlib import Path

import pytest

from app import durable


def test_what_is_written_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "a"
    durable.write_bytes(file, b"old")
    durable.write_bytes(file, b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new"}


def half_written(file: Path) -> None:
    with durable.replacing(file) as stream:
        stream.write(b"half")
        raise TypeError


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "a"
    durable.write_bytes(file, b"old")
    with pytest.raises(TypeError):
        half_written(file)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_the_old_file_can_be_read_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "a"
    durable.write_bytes(file, b"old")
    with durable.replacing(file) as stream:
        stream.write(b"new")
        assert file.read_bytes() == b"old"
    assert file.read_bytes() == b"new"
