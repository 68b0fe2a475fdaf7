"""A user's own files are copied whole."""

from __future__ import annotations

from pathlib import Path

from components.data.own_files import copy_tree
from tests.conftest import contents


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
