"""Copies of the project for runs with other values: what is in them, whose they are, and how long they are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

from flows.graph import DvcError, cache
from flows.workspace import KEPT, LOCK, merged, workspace
from tests.conftest import Project

pytestmark = pytest.mark.slow

OTHER = {"models": {"cnn": {"dropout": 0.4}}}


def test_other_values_work_in_a_copy_with_the_projects_cache(small: Project) -> None:
    assert small.run("dvc", "repro").returncode == 0
    with workspace(small.folder, ".runs", OTHER, print) as folder:
        values = YAML(typ="safe").load((folder / "params.yaml").read_text())
        assert values["models"]["cnn"]["dropout"] == 0.4
        again = Project.__new__(Project)
        again.folder, again.started, again.environment = folder, [], small.environment
        done = again.run("dvc", "repro")
        assert done.returncode == 0, done.stdout
        assert "Running stage" not in done.stdout, "the stages come from the project's cache"
        assert (folder / "second.txt").read_text() == "one"
    assert YAML(typ="safe").load((small.folder / "params.yaml").read_text())["models"]["cnn"]["dropout"] != 0.4
    with workspace(small.folder, ".runs", OTHER, print) as second:
        assert second == folder, "the same values, the same copy: what was trained there goes on"


def test_changes_reach_into_sections_and_replace_lists() -> None:
    values = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert merged(values, {"a": {"c": [9]}}) == {"a": {"b": 1, "c": [9]}, "d": 3}


def test_a_copy_is_written_only_when_the_run_that_works_in_it_has_ended(small: Project) -> None:
    with workspace(small.folder, ".runs", OTHER, print) as folder:
        pass
    first = FileLock(folder / ".runs" / LOCK)
    first.acquire()
    (folder / "in.txt").write_text("the first run's")
    found = []

    def end_the_first(said: str) -> None:
        found.append((said, (folder / "in.txt").read_text()))
        first.release()

    with workspace(small.folder, ".runs", OTHER, end_the_first):
        assert (folder / "in.txt").read_text() == "one"
    assert found == [("another run works in this folder; waiting for its end", "the first run's")]


def test_what_a_killed_training_left_in_a_copy_stays(small: Project) -> None:
    with workspace(small.folder, ".runs", OTHER, print) as folder:
        (folder / ".runs" / "state.pt").write_text("of epoch 3")
    with workspace(small.folder, ".runs", OTHER, print):
        assert (folder / ".runs" / "state.pt").read_text() == "of epoch 3"


@pytest.mark.parametrize("name", ["two words.txt", "größe.txt", "line\nbreak.txt", os.fsdecode(b"latin-\xe9.txt")])
def test_a_file_of_any_name_is_copied(small: Project, name: str) -> None:
    (small.folder / "notes").mkdir()
    (small.folder / "notes" / name).write_text("text")
    with workspace(small.folder, ".runs", OTHER, print) as folder:
        assert (folder / "notes" / name).read_text() == "text"


def test_a_source_that_the_copy_lacks_is_named_whole(small: Project, tmp_path: Path) -> None:
    """One beside the project, and one in it that git ignores; a source file is copied."""
    for folder in (tmp_path / "photos", small.folder / "own"):
        folder.mkdir()
        (folder / "1.jpg").write_text("1")
    with (small.folder / ".gitignore").open("a") as opened:
        opened.write("/own\n")
    small.change(flowers__source="../photos", voc__source="own")
    with workspace(small.folder, ".runs", OTHER, print) as folder:
        entries = YAML(typ="safe").load((folder / "params.yaml").read_text())["data"]
        assert entries["flowers"]["source"] == str(tmp_path / "photos")
        assert entries["voc"]["source"] == str(small.folder / "own")
        assert (folder / entries["mnist"]["source"]).is_file()


def test_a_copy_shares_the_cache_that_the_user_configured(small: Project, tmp_path: Path) -> None:
    assert small.run("dvc", "cache", "dir", "--local", str(tmp_path / "larger disk")).returncode == 0
    with workspace(small.folder, ".runs", OTHER, print) as folder:
        assert cache(folder) == tmp_path / "larger disk"


def test_a_dvc_that_refuses_is_told_and_holds_nothing(small: Project) -> None:
    (small.folder / ".dvc" / "config").write_text("[core")
    with pytest.raises(DvcError, match="`dvc cache dir` failed"), workspace(small.folder, ".runs", OTHER, print):
        pass
    (copy,) = (small.folder / ".runs" / "with").iterdir()
    FileLock(copy / ".runs" / LOCK).acquire(timeout=0).lock.release()


@pytest.fixture
def older(small: Project) -> list[Path]:
    """Copies of earlier runs, the one used last at the end."""
    copies = [small.folder / ".runs" / "with" / f"copy{number}" for number in range(KEPT + 2)]
    for number, copy in enumerate(copies):
        (copy / ".runs").mkdir(parents=True)
        (copy / "result.txt").touch()
        os.utime(copy, (number, number))
    return copies


def test_the_copies_used_last_are_kept(small: Project, older: list[Path]) -> None:
    with workspace(small.folder, ".runs", OTHER, print) as folder:
        assert {*folder.parent.iterdir()} == {folder, *older[-KEPT + 1 :]}


def test_a_copy_that_a_run_works_in_is_kept_however_old(small: Project, older: list[Path]) -> None:
    with (
        FileLock(older[0] / ".runs" / LOCK),
        workspace(small.folder, ".runs", OTHER, print) as folder,
    ):
        assert {*folder.parent.iterdir()} == {folder, older[0], *older[-KEPT + 1 :]}
        assert (older[0] / "result.txt").exists()


def test_a_copy_that_cannot_be_deleted_fails_no_run(
    small: Project, older: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "rename", refuse)
    with workspace(small.folder, ".runs", OTHER, print) as folder:
        assert {*folder.parent.iterdir()} == {folder, *older}
