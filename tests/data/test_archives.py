"""Archives are unpacked into their folder and nowhere else, whatever links and names are in them."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from components.data.archives import extract
from components.errors import ArchiveError
from tests.conftest import contents

TEXT = b"a line"
Fill = Callable[[tarfile.TarFile], None]


def file(tar: tarfile.TarFile, name: str, content: bytes = TEXT) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def other(tar: tarfile.TarFile, name: str, kind: bytes, target: str = "") -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    tar.addfile(info)


def link(tar: tarfile.TarFile, name: str, target: str) -> None:
    other(tar, name, tarfile.SYMTYPE, target)


def hard_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    other(tar, name, tarfile.LNKTYPE, target)


def tar_of(folder: Path, fill: Fill) -> Path:
    with tarfile.open(folder / "archive.tar.gz", "w:gz") as tar:
        fill(tar)
    return folder / "archive.tar.gz"


def zip_of(folder: Path, members: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.external_attr = name, mode << 16
            archive.writestr(info, content)
    return folder / "archive.zip"


def pax_name(tar: tarfile.TarFile, name: str) -> None:
    info = tarfile.TarInfo("a")
    info.pax_headers = {"path": name}
    tar.addfile(info)


def through_a_link(tar: tarfile.TarFile) -> None:
    link(tar, "link", "..")
    file(tar, "link/outside.txt")


def circle(tar: tarfile.TarFile) -> None:
    link(tar, "one", "two")
    link(tar, "two", "one")


def deep_chain(tar: tarfile.TarFile) -> None:
    """CVE-2025-4517: links in folders whose real path is longer than PATH_MAX, then one that leads out behind them."""
    folder, steps, path = "d" * 247, "abcdefghijklmnop", ""
    for step in steps:
        info = tarfile.TarInfo(f"{path}{folder}")
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
        link(tar, f"{path}{step}", folder)
        path += f"{folder}/"
    link(tar, "/".join(steps) + "/" + "l" * 254, "../" * len(steps))
    link(tar, "escape", "/".join(steps) + "/" + "l" * 254 + "/../outside")
    file(tar, "escape/file.txt")


OUTSIDE: dict[str, Fill] = {
    "a name that leads up": lambda tar: file(tar, "../outside.txt"),
    "an absolute name": lambda tar: file(tar, "/outside.txt"),
    "up from a folder": lambda tar: file(tar, "a/../../outside.txt"),
    "a link that leads up": lambda tar: link(tar, "link", "../outside"),
    "an absolute link": lambda tar: link(tar, "link", "/etc/passwd"),
    "a file through a link": through_a_link,
    "a hard link that leads up": lambda tar: hard_link(tar, "link", "../outside.txt"),
    "a hard link to a missing name": lambda tar: hard_link(tar, "link", "nowhere"),
    "a link to a missing name": lambda tar: link(tar, "link", "nowhere"),
    "links in a circle": circle,
    "a chain longer than a path may be": deep_chain,
    "a device": lambda tar: other(tar, "null", tarfile.CHRTYPE),
    "a pipe": lambda tar: other(tar, "pipe", tarfile.FIFOTYPE),
    "a name with a NUL": lambda tar: pax_name(tar, "a\0b"),
    "a name that is no UTF-8": lambda tar: file(tar, os.fsdecode(b"gent\xe9e.jpg")),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_member_lies_or_leads_outside(name: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    archive = tar_of(tmp_path, OUTSIDE[name])
    with pytest.raises((ArchiveError, OSError)) as raised:
        extract(archive, tmp_path / "deep" / "folder")
    assert len(str(raised.value).splitlines()) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path != archive]
    assert all(path.is_relative_to(tmp_path / "deep" / "folder") for path in written)


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "a\\..\\..\\outside.txt"])
def test_no_member_of_a_zip_lies_outside(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="outside"):
        extract(zip_of(tmp_path, {name: TEXT}), tmp_path / "folder")
    assert contents(tmp_path).keys() == {"archive.zip"}


def test_a_zips_symbolic_link_is_a_copy_or_refused(tmp_path: Path) -> None:
    for target, lies in ((b"b.txt", True), (b"../b.txt", False)):
        with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
            archive.writestr("b.txt", TEXT)
            info = zipfile.ZipInfo("link")
            info.external_attr = 0o120777 << 16
            archive.writestr(info, target)
        if lies:
            extract(tmp_path / "archive.zip", tmp_path / "one")
            assert contents(tmp_path / "one") == {"b.txt": TEXT, "link": TEXT}
        else:
            with pytest.raises(ArchiveError, match="outside"):
                extract(tmp_path / "archive.zip", tmp_path / "other")


def test_links_to_files_become_copies_wherever_they_stand(tmp_path: Path) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        link(tar, "before", "a/b.txt")
        file(tar, "a/b.txt")
        link(tar, "a/beside", "b.txt")
        link(tar, "c/across", "../a/b.txt")
        hard_link(tar, "hard", "a/b.txt")
        link(tar, "chain", "c/across")

    extract(tar_of(tmp_path, fill), tmp_path / "folder")
    names = ("before", "a/b.txt", "a/beside", "c/across", "hard", "chain")
    assert contents(tmp_path / "folder") == dict.fromkeys(names, TEXT)
    assert not [path for path in (tmp_path / "folder").rglob("*") if path.is_symlink()]


def test_of_two_members_of_one_name_the_later_counts_and_a_link_to_itself_is_none(tmp_path: Path) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        file(tar, "a", b"old")
        file(tar, "b", b"new")
        link(tar, "a", "b")
        link(tar, "c", "b")
        file(tar, "c", b"own")
        hard_link(tar, "b", "b")  # as tar writes a file that it was given twice

    extract(tar_of(tmp_path, fill), tmp_path / "folder")
    assert contents(tmp_path / "folder") == {"a": b"new", "b": b"new", "c": b"own"}


def test_backslashes_between_a_zips_folders_are_folders(tmp_path: Path) -> None:
    extract(zip_of(tmp_path, {"photos\\": b"", "photos\\rose\\1.jpg": TEXT}), tmp_path / "folder")
    assert contents(tmp_path / "folder") == {"photos/rose/1.jpg": TEXT}


def test_what_nobody_may_write_to_is_unpacked_so_that_one_may(tmp_path: Path) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("folder")
        info.type, info.mode = tarfile.DIRTYPE, 0o555
        tar.addfile(info)
        file(tar, "folder/file.txt")

    extract(tar_of(tmp_path, fill), tmp_path / "out")
    assert (tmp_path / "out/folder").stat().st_mode & 0o200


def test_a_damaged_end_is_noticed(tmp_path: Path) -> None:
    archive = tar_of(tmp_path, lambda tar: file(tar, "a.txt", bytes(100_000)))
    archive.write_bytes(archive.read_bytes()[:-6])
    with pytest.raises((EOFError, OSError, tarfile.TarError)):
        extract(archive, tmp_path / "folder")
