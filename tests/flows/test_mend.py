"""DVC's own files that a kill cut short are brought back, and nothing that is whole is changed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows.mend import COPY, LOCKS, keep_copy, mend
from tests.conftest import Project

ENTRY = """  {name}:
    cmd: cp a {name}.txt
    deps:
    - path: a
      hash: md5
      md5: 0cc175b9c0f1b6a831c399e269772661
      size: 1
    outs:
    - path: {name}.txt
      hash: md5
      md5: 0cc175b9c0f1b6a831c399e269772661
      size: 1
"""
HEAD = "schema: '2.0'\nstages:\n"
WHOLE = HEAD + "".join(ENTRY.format(name=name) for name in ("one", "two", "three"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project's folder with a dvc.lock that is whole, and its copy."""
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text(WHOLE)
    keep_copy(tmp_path)
    assert (tmp_path / COPY).read_text() == WHOLE
    return tmp_path


def mended(folder: Path) -> tuple[str, list[str]]:
    said: list[str] = []
    mend(folder, said.append)
    return (folder / "dvc.lock").read_text(), said


@pytest.mark.slow
def test_a_lock_cut_short_at_any_byte_is_the_copy_again_and_said_in_a_line(folder: Path) -> None:
    for end in range(len(WHOLE)):
        (folder / "dvc.lock").write_text(WHOLE[:end])
        text, said = mended(folder)
        assert text == WHOLE, f"cut after {end} bytes: {WHOLE[:end][-30:]!r}"
        assert said == ["dvc.lock was cut short by a kill; its copy of 3 stages is in its place"]


@pytest.mark.parametrize("content", ["", "\0" * 100, "stages", "[]\n", "schema: '2.0'\nstages:\n  one:\n", "\xff{\n"])
def test_a_lock_of_anything_else_is_the_copy_again(content: str, folder: Path) -> None:
    (folder / "dvc.lock").write_text(content)
    assert mended(folder)[0] == WHOLE


CHANGED = {
    "a stage more": WHOLE + ENTRY.format(name="four"),
    "another order": HEAD + "".join(ENTRY.format(name=name) for name in ("three", "one", "two")),
    "a stage in the middle gone": HEAD + "".join(ENTRY.format(name=name) for name in ("one", "three")),
    "another digest in the last": WHOLE[:-60].replace("0cc1", "1dd2") + WHOLE[-60:],
    "other stages": HEAD + ENTRY.format(name="others"),
    "an output more in the last": WHOLE
    + WHOLE[
        -len("    - path: three.txt\n      hash: md5\n      md5: 0cc175b9c0f1b6a831c399e269772661\n      size: 1\n") :
    ],
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_lock_that_changed_and_is_whole_stays_and_is_the_new_copy(name: str, folder: Path) -> None:
    (folder / "dvc.lock").write_text(CHANGED[name])
    assert mended(folder) == (CHANGED[name], [])
    assert (folder / COPY).read_text() == CHANGED[name]


def test_a_shorter_lock_that_git_brought_is_whole(folder: Path) -> None:
    shorter = HEAD + ENTRY.format(name="one")
    (folder / "dvc.lock").write_text(shorter)
    for command in (["init", "--quiet"], ["add", "dvc.lock"], ["commit", "--quiet", "-m", "shorter"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
        subprocess.run(["git", *identity, *command], cwd=folder, check=True)
    assert mended(folder) == (shorter, [])


def test_a_lock_with_an_output_less_is_whole_where_dvc_has_just_written_it(folder: Path) -> None:
    shorter = WHOLE[: WHOLE.rindex("    outs:")]
    (folder / "dvc.lock").write_text(shorter)
    keep_copy(folder)
    assert (folder / COPY).read_text() == WHOLE, "it might be cut short"
    keep_copy(folder, after_success=True)
    assert mended(folder) == (shorter, [])


def test_a_lock_in_the_middle_of_a_merge_is_left_to_the_user(folder: Path) -> None:
    merging = WHOLE.replace("  two:\n", "<<<<<<< HEAD\n  two:\n=======\n  other:\n>>>>>>> theirs\n")
    (folder / "dvc.lock").write_text(merging)
    assert mended(folder) == (merging, [])
    assert (folder / COPY).read_text() == WHOLE


def test_a_copy_that_is_none_takes_no_place(folder: Path) -> None:
    (folder / COPY).write_text("text")
    (folder / "dvc.lock").write_text("")
    said: list[str] = []
    mend(folder, said.append)
    assert "there is no copy" in said[0]
    assert not (folder / "dvc.lock").exists()


@pytest.mark.slow
@pytest.mark.processes
def test_without_a_copy_dvc_takes_what_ran_from_its_cache(small: Project) -> None:
    assert small.run("dvc", "repro").returncode == 0
    (small.folder / "dvc.lock").write_text("")
    broken = small.run("dvc", "repro")
    assert broken.returncode != 0
    assert "validation failed" in broken.stdout
    done = small.run("flows.mend")
    assert done.returncode == 0
    assert done.stdout == (
        "dvc.lock was cut short by a kill, and there is no copy; DVC takes what ran before from its cache\n"
    )
    again = small.run("dvc", "repro")
    assert again.returncode == 0
    assert again.stdout.count("is cached - skipping run") == 2


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("content", ["", '{"write": {"/a": {"pid": 1', "text"])
def test_a_list_of_locks_that_is_none_goes(content: str, small: Project) -> None:
    assert small.run("dvc", "repro").returncode == 0
    (small.folder / LOCKS).write_text(content)
    (small.folder / "in.txt").write_text("two")
    assert small.run("dvc", "repro").returncode != 0
    assert "rwlock was cut short by a kill" in small.run("flows.mend").stdout
    assert small.run("dvc", "repro").returncode == 0


@pytest.mark.slow
@pytest.mark.processes
def test_nothing_is_said_of_a_project_that_is_whole_or_never_ran(small: Project) -> None:
    assert small.run("flows.mend").stdout == "dvc.lock is whole\n"
    assert small.run("dvc", "repro").returncode == 0
    before = (small.folder / "dvc.lock").read_bytes()
    assert small.run("flows.mend").stdout == "dvc.lock is whole\n"
    assert (small.folder / "dvc.lock").read_bytes() == before


MANY = 60


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT], ids=["kill", "Ctrl-C"])
def test_a_kill_of_dvc_while_it_writes_its_lock_does_no_harm(kill: signal.Signals, small: Project) -> None:
    """It is waited for until the file shrinks, as DVC truncates it and then takes some time to write it."""
    stages = "".join(f"  s{n}: {{cmd: echo {n} > s{n}.txt, outs: [s{n}.txt]}}\n" for n in range(MANY))
    last = "  last: {cmd: cp in.txt last.txt, deps: [in.txt], outs: [last.txt]}\n"
    (small.folder / "dvc.yaml").write_text("stages:\n" + stages + last)
    assert small.run("dvc", "repro").returncode == 0
    assert small.run("flows.mend").returncode == 0
    lock = small.folder / "dvc.lock"
    whole = lock.stat().st_size
    cut = False
    for attempt in range(20):
        (small.folder / "in.txt").write_text(f"attempt {attempt}")
        process = small.start("dvc", "repro", "last")
        while process.poll() is None and lock.stat().st_size == whole:
            time.sleep(0.0005)
        os.kill(process.pid, kill)
        process.communicate(timeout=60)
        if cut := lock.stat().st_size < whole:
            break
        assert small.run("dvc", "repro").returncode == 0
        whole = lock.stat().st_size
    assert cut, "it was never killed in time"
    assert "cut short by a kill; its copy of" in small.run("flows.mend").stdout
    assert len(YAML(typ="safe").load(lock.read_text())["stages"]) == MANY + 1
    done = small.run("dvc", "repro")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("didn't change, skipping") == MANY, "the others are up to date"
