"""Archives, unpacked by checks of our own.

No link of an archive's is ever made on disk, so that no name can lead through one out of the folder: tarfile's own
filter trusts os.path.realpath, which long chains of links defeat (CVE-2025-4517). A link to a file of the archive
becomes a copy of that file; any other is refused.
"""

from __future__ import annotations

import posixpath
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Literal

from components.errors import ArchiveError

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Member:
    """One member of an archive.

    name:   its parts from the archive's top, joined by slashes, none of which leads up or elsewhere.
    target: of a link, such a name, too.
    open:   of a file, its content.
    """

    name: str
    kind: Literal["folder", "file", "link"]
    target: str = ""
    open: Callable[[], IO[bytes]] | None = None


def extract(archive: Path, folder: Path) -> None:
    """Unpack a ZIP or tar archive into a folder, with default permissions.

    Raises ArchiveError for a member that is no file, folder or link to a file, that would lie outside, or whose name is
    no UTF-8; and what zipfile and tarfile raise for damage.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            _unpack(_members_of_zip(opened), folder)
    else:
        with tarfile.open(archive) as tar:
            _unpack(_members_of_tar(tar), folder)
            while tar.fileobj and tar.fileobj.read(CHUNK_BYTES):
                pass  # to the end, where gzip's checksum is


def _unpack(members: Iterator[Member], folder: Path) -> None:
    links: dict[str, str] = {}
    for member in members:
        target = folder / member.name
        if member.kind == "link":
            if member.target != member.name:  # as tar has it of a file that it was given twice
                target.unlink(missing_ok=True)  # of two members of one name the later counts
                links[member.name] = member.target
        elif member.kind == "folder":
            target.mkdir(parents=True, exist_ok=True)
        else:
            assert member.open is not None
            target.parent.mkdir(parents=True, exist_ok=True)
            links.pop(member.name, None)
            with member.open() as content, target.open("wb") as opened:
                shutil.copyfileobj(content, opened, CHUNK_BYTES)
    for name in links:
        source = folder / _file_behind(name, links)
        if not source.is_file():
            wrong = "a folder" if source.is_dir() else "not in the archive"
            raise ArchiveError(f"the link {name!r} leads to {links[name]!r}, which is {wrong}")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            shutil.copyfile(source, folder / name)


def _file_behind(name: str, links: Mapping[str, str]) -> str:
    """The first name that is no link, from link to link."""
    passed = {name}
    while (name := links[name]) in links:
        if name in passed:
            raise ArchiveError(f"the link {name!r} leads to itself")
        passed.add(name)
    return name


def _members_of_zip(opened: zipfile.ZipFile) -> Iterator[Member]:
    for info in opened.infolist():
        # Some programs of Windows write backslashes between folders, against the format.
        name = _checked(info.filename.replace("\\", "/"))
        mode = info.external_attr >> 16
        if info.is_dir() or info.filename.endswith("\\"):
            yield Member(name, "folder")
        elif stat.S_ISLNK(mode):
            yield Member(name, "link", _target(name, opened.read(info).decode("utf-8", "surrogateescape")))
        elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
            yield Member(name, "file", open=partial(opened.open, info))
        else:
            raise ArchiveError(f"{name!r} is no file, folder or link")


def _members_of_tar(tar: tarfile.TarFile) -> Iterator[Member]:
    last = -1
    for info in tar:
        if info.offset <= last or info.size < 0:  # a header that leads back, for ever
            raise ArchiveError(f"{info.name!r} has a damaged header")
        last = info.offset
        name = _checked(info.name)
        if info.isdir():
            yield Member(name, "folder")
        elif info.issym():
            yield Member(name, "link", _target(name, info.linkname))
        elif info.islnk():
            yield Member(name, "link", _checked(info.linkname))
        elif info.isreg():
            yield Member(name, "file", open=partial(_content, tar, info))
        else:
            raise ArchiveError(f"{name!r} is no file, folder or link")


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(info)
    assert content is not None, "it is a file"
    return content


def _target(name: str, linked: str) -> str:
    """The name in the archive that a symbolic link's text means. Raises ArchiveError if it leads out of it."""
    return _checked(linked if linked.startswith("/") else posixpath.join(posixpath.dirname(name), linked))


def _checked(name: str) -> str:
    """The name, plain. Raises ArchiveError where it leads out of the folder, or is no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode("utf-8", "surrogateescape").decode("latin-1")
        raise ArchiveError(f"the name {shown!r} is not UTF-8; rename it, and pack it anew") from None
    if "\0" in name:
        raise ArchiveError(f"{name!r} is no name")
    plain = posixpath.normpath(name)
    if name.startswith("/") or plain == ".." or plain.startswith("../"):
        raise ArchiveError(f"{name!r} would lie outside its folder")
    return plain
