"""Whether a user's own files changed since they were copied is told by their names, sizes and times."""

from __future__ import annotations

import os
from pathlib import Path

from components.data.own_files import changed, keep_record, record_of


def test_names_sizes_and_times_tell_a_change(tmp_path: Path) -> None:
    folder, scratch = tmp_path / "photos", tmp_path / "runs"
    (folder / "rose").mkdir(parents=True)
    (folder / "rose/a.jpg").write_text("a")

    def copied() -> None:
        keep_record(scratch, "flowers", folder.resolve(), record_of(folder))

    def told() -> dict[str, str]:
        return changed(scratch, {"flowers": str(folder), "voc": "made", "mnist": "https://example.org/x"})

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
