"""Folders and files are whole or absent, whenever a process is killed while it writes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.files import restore, whole_folder, write_whole
from tests.conftest import REPO, contents

# Writes the folder anew, and is killed at the Nth change of a name or a folder's end.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from components.files import whole_folder
left = int(sys.argv[2])
def then_killed(change):
    def changed(*arguments, **keywords):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return change(*arguments, **keywords)
    return changed
Path.replace, shutil.rmtree = then_killed(Path.replace), then_killed(shutil.rmtree)
with whole_folder(Path(sys.argv[1])) as folder:
    (folder / "file").write_text("new")
"""


@pytest.mark.parametrize("moment", range(6))
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_folder(moment: int, tmp_path: Path) -> None:
    target = tmp_path / "target"
    with whole_folder(target) as folder:
        (folder / "file").write_text("old")
    command = [sys.executable, "-c", KILLED, str(target), str(moment)]
    code = subprocess.run(command, cwd=REPO, env={**os.environ, "PYTHONPATH": str(REPO)}, check=False).returncode
    assert code in (0, -signal.SIGKILL)
    restore(target)
    assert (target / "file").read_text() in ("old", "new")
    with whole_folder(target) as folder:
        (folder / "file").write_text("newest")
    assert contents(tmp_path) == {"target/file": b"newest"}


def test_two_processes_that_write_one_folder_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "target") as one, whole_folder(tmp_path / "target") as other:
        (one / "file").write_text("one")
        (other / "file").write_text("other")
    assert contents(tmp_path) == {"target/file": b"one"}


def test_a_fault_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "file").write_text("old")
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "target"):
        raise RuntimeError
    assert contents(tmp_path) == {"target/file": b"old"}


def test_what_a_killed_process_had_begun_to_write_goes_with_the_next_file(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".file.json.part-{dead.pid}-0123abcd").write_text("{")
    write_whole(tmp_path / "file.json", "{}")
    assert contents(tmp_path) == {"file.json": b"{}"}
