"""Whether a user's own files changed since they were copied is told by their names, sizes and times."""

from __future__ import annotations

import os
from pathlib import Path

from components.data.own_files import changed, copy_tree, keep_record, record_of
from tests.conftest import contents


def test_names_sizes_and_times_tell_a_change(tmp_path: Path) -> None:
    folder, scratch = tmp_path / "photos", tmp_path / "runs"
    (folder / "rose").mkdir(parents=True)
    (folder / "rose/a.jpg").write_text("a")

    raws = tmp_path / "raw"
    (raws / "flowers").mkdir(parents=True)
    copies = iter(range(100))

    def copied() -> None:
        (raws / "flowers/source.json").write_text(f"copy {next(copies)}")
        keep_record(scratch, "flowers", folder.resolve(), record_of(folder), raws / "flowers")

    def told() -> dict[str, str]:
        return changed(scratch, raws, {"flowers": str(folder), "voc": "synthetic", "mnist": "https://example.org/x"})

    assert told() == {}, "it was never copied"
    copied()
    assert told() == {}
    for change in (
        lambda: (folder / "rose/b.jpg").write_text("b"),
        lambda: (folder / "rose/a.jpg").write_text("longer"),
        lambda: os.utime(folder / "rose/a.jpg", (1, 1)),
        lambda: (folder / "rose/b.jpg").rename(folder / "rose/c.jpg"),
        lambda: (folder / "rose/c.jpg").unlink(),
    ):
        change()
        assert told() == {"flowers": str(folder.resolve())}
        copied()
        assert told() == {}
    (folder / "rose/loop").symlink_to(folder)
    copied()
    assert told() == {}
    (scratch / "sources").joinpath(next(f.name for f in (scratch / "sources").iterdir())).write_text("{")
    assert told() == {"flowers": str(folder.resolve())}
    copied()
    (raws / "flowers/source.json").write_text("an older copy, from DVC's cache")
    assert told() == {"flowers": str(folder.resolve())}
    (raws / "flowers/source.json").unlink()
    assert told() == {}, "DVC brings it back, or runs the stage"


def test_a_tree_is_copied_through_links_but_in_no_circle(tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "rose").mkdir(parents=True)
    (own / "tulip/empty").mkdir(parents=True)
    (own / "rose/1.jpg").write_text("1")
    (own / "all_red").symlink_to("rose")
    (own / "tulip/loop").symlink_to("..")
    copy_tree(own, tmp_path / "copy")
    assert contents(tmp_path / "copy") == {"rose/1.jpg": b"1", "all_red/1.jpg": b"1"}
    assert (tmp_path / "copy/tulip/empty").is_dir()
    assert not (tmp_path / "copy/tulip/loop").exists()
