"""What DVC would stumble over in a user's own files is told in a sentence, before anything runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.sources import SourceError, check


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "rose").mkdir(parents=True)
    (folder / "rose" / "1.jpg").write_text("1")
    return folder


def told(project: Path, source: str = "photos") -> tuple[set[str], list[str]]:
    """(the stages that are left as they are, what was logged)."""
    said: list[str] = []
    return check(project, {"garden": {"source": source}}, said.append), said


def test_a_source_that_is_there_is_no_news(photos: Path) -> None:
    assert told(photos.parent) == (set(), [])
    assert told(photos.parent, str(photos)) == (set(), [])


def test_one_that_is_absent_and_was_never_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"data\.garden\.source: ~/photos: there is no such file .* and ~ is not"):
        told(tmp_path, "~/photos")


def test_one_that_is_absent_and_was_read_before_is_used_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  download@garden:\n    cmd: x\n")
    left, said = told(tmp_path)
    assert left == {"download@garden"}
    assert said == ["data.garden.source: photos is not there; what was read of it before is used"]


def test_links_that_lead_nowhere_and_names_that_are_no_text_are_named(photos: Path) -> None:
    (photos / "rose" / "2.jpg").symlink_to("gone.jpg")
    (photos / os.fsdecode(b"fleur\xe9")).mkdir()
    with pytest.raises(SourceError) as raised:
        told(photos.parent)
    assert "a link that leads nowhere (rose/2.jpg)" in str(raised.value)
    assert "a name that is not UTF-8 ('fleuré')" in str(raised.value)
    assert "rename or delete these" in str(raised.value)


def test_of_many_a_few_are_named(photos: Path) -> None:
    for number in range(10):
        (photos / f"{number}.jpg").symlink_to("gone")
    with pytest.raises(SourceError, match="and 7 more"):
        told(photos.parent)


def test_a_link_in_a_circle_is_named_once(photos: Path) -> None:
    (photos / "rose" / "again").symlink_to(photos)
    with pytest.raises(SourceError, match=r"photos has a link that leads in a circle \(rose/again\); rename"):
        told(photos.parent)
