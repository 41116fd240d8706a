"""Which files of a folder are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.ingest.finding import find_files


def written(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder beside which lies what it may not lead to."""
    written(tmp_path, "secret.md", "secrets/key.md", "docs/a.md", "docs/inner/b.md")
    return tmp_path / "docs"


def test_a_folder_is_searched_for_what_can_be_read_and_is_not_hidden(tmp_path: Path) -> None:
    written(tmp_path, "b.md", "a/x.TXT", "a/y.png", ".git/z.md", ".hidden.md")
    selection = find_files([tmp_path, tmp_path / "b.md"])
    assert selection.files == [tmp_path / "a/x.TXT", tmp_path / "b.md"]
    assert selection.closed == selection.outside == []


def test_a_link_to_a_file_outside_of_the_folder_is_left_out_and_reported(docs: Path) -> None:
    (docs / "inner/link.md").symlink_to("../../secret.md")
    (docs / "absolute.md").symlink_to(docs.parent / "secret.md")
    selection = find_files([docs])
    assert selection.files == [docs / "a.md", docs / "inner/b.md"]
    assert sorted(map(str, selection.outside)) == [
        f"{docs / name}: is a link that leads out of {docs}; name its target to have it read"
        for name in ("absolute.md", "inner/link.md")
    ]


def test_links_that_lead_out_by_way_of_others_do_so_all_the_same(docs: Path) -> None:
    (docs / "folder").symlink_to("../secrets")
    (docs / "first.md").symlink_to("folder/key.md")
    (docs / "second.md").symlink_to("first.md")
    selection = find_files([docs])
    assert selection.files == [docs / "a.md", docs / "inner/b.md"]
    assert len(selection.outside) == 2


def test_a_link_within_the_folder_is_read(docs: Path) -> None:
    (docs / "c.md").symlink_to("inner/b.md")
    assert docs / "c.md" in find_files([docs]).files


def test_a_link_to_a_folder_is_not_followed_and_one_in_a_circle_ends(docs: Path) -> None:
    (docs / "up").symlink_to("..")
    (docs / "circle.md").symlink_to("circle.md")
    selection = find_files([docs])
    assert selection.files == [docs / "a.md", docs / "inner/b.md"]
    assert selection.outside == []


def test_a_folder_whose_name_begins_as_another_is_outside_of_it(docs: Path) -> None:
    written(docs.parent, "docs-private/x.md")
    (docs / "x.md").symlink_to("../docs-private/x.md")
    assert len(find_files([docs]).outside) == 1


def test_what_is_named_on_the_command_line_may_be_a_link(docs: Path) -> None:
    (docs.parent / "link").symlink_to("docs")
    (docs / "link.md").symlink_to("../secret.md")
    selection = find_files([docs.parent / "link", docs / "link.md"])
    assert selection.files == [
        docs.parent / "link/a.md",
        docs.parent / "link/inner/b.md",
        docs / "link.md",
    ]
