"""Images in IDX files: the published set, from wherever it is mirrored, or a set of the user's own in that format."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.data.formats.folders import files_below
from components.data.formats.idx import FILES, OWN, read_file
from components.data.own_files import path_here
from components.data.sources import ARCHIVES, OwnTree, fetch_file
from components.errors import FetchError, IdxError

# The endings of the four files' names, as published, unpacked by some programs, or called by others.
NAMES = {
    name: re.compile(rf"(.*[-_.])?{part}[-_.]{kind}[-_.]?idx{axes}[-_.]ubyte(\.gz)?", re.IGNORECASE)
    for name, (part, kind, axes) in zip(
        FILES,
        (("train", "images", 3), ("train", "labels", 1), ("(t10k|test)", "images", 3), ("(t10k|test)", "labels", 1)),
        strict=True,
    )
}
OPTIONAL = FILES[2:]  # of a set of one's own, which may have no test subset


@dataclass(frozen=True)
class Published:
    """How the published set is known again.

    name:     what it is called.
    digests:  file name → "unpacked-sha256:…" of what the packed file holds, or "md5:…" of the packed file itself.
    examples: how many of each class are for training, and for testing; and
    labels:   the first ones of both parts, by which other sets of as many are told apart. Where digests are of packed
              files these say nothing of what is packed anew.
    """

    name: str
    digests: Mapping[str, str]
    examples: tuple[int, int] = (0, 0)
    labels: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())


@dataclass(frozen=True)
class IdxSet:
    """The four files at a URL: a folder or an archive here, an archive elsewhere, or a published set's mirror.

    From a mirror only the published set is taken: by its digests, or, packed anew, by its labels.
    """

    url: str
    published: Published

    @property
    def here(self) -> Path | None:
        """Where it is on this machine; None where it comes from elsewhere."""
        return path_here(self.url)

    def fetch(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            tree = Path(temporary)
            mirror = self.here is None and not self.url.lower().endswith(ARCHIVES)
            if mirror:
                self._from_mirror(tree)
            elif self.here and self.here.is_dir():
                tree = self.here
            else:
                OwnTree(self.url).fetch(tree)
            for name, file in self._chosen(tree).items():
                _pack(file, folder / name)
        if not self._is_published(folder):
            if mirror:
                raise FetchError(f"{self.url}: its files are not the published {self.published.name}")
            classes = _describe_own(folder)
            print(f"not the published {self.published.name}, but a set of your own, with {classes} classes", flush=True)

    def _from_mirror(self, tree: Path) -> None:
        for name in FILES:
            try:
                fetch_file(f"{self.url.rstrip('/')}/{name}", tree / name)
            except FetchError as error:
                raise FetchError(f"{self.url}: {name} could not be fetched: {error}") from None

    def _chosen(self, tree: Path) -> dict[str, Path]:
        """The one file of each kind. Raises FetchError where one that is needed is not there, or several are."""
        sources = {}
        files = [*files_below(tree)]
        for name, pattern in NAMES.items():
            fitting = [path for path in files if pattern.fullmatch(path.name)]
            if len(fitting) > 1:
                several = ", ".join(str(path.relative_to(tree)) for path in fitting[:4])
                raise FetchError(f"{self.url}: several files could be {name}: {several}; leave one of them there")
            if fitting:
                sources[name] = fitting[0]
            elif name not in OPTIONAL:
                raise FetchError(f"{self.url}: there is no {name} in it, packed or not")
        if len(sources.keys() & {*OPTIONAL}) == 1:
            raise FetchError(f"{self.url}: of {' and '.join(OPTIONAL)} one alone is there")
        return sources

    def _is_published(self, folder: Path) -> bool:
        """Raises FetchError for files that are no IDX files, or that do not fit each other."""
        try:
            if not all((folder / name).exists() for name in FILES):
                return False
            if all(_has_digest(folder / name, digest) for name, digest in self.published.digests.items()):
                return True
            labels = [read_file(folder / name, axes=1) for name in (FILES[1], FILES[3])]
        except IdxError as error:
            raise FetchError(f"{self.url}: {error}") from None
        return all(
            first and np.bincount(own).tolist() == [count] * 10 and tuple(own[: len(first)].tolist()) == first
            for own, count, first in zip(labels, self.published.examples, self.published.labels, strict=True)
        )


def _pack(file: Path, target: Path) -> None:
    """As a packed file, whose bytes stay as they are if it is one."""
    with file.open("rb") as opened:
        packed = opened.read(2) == b"\x1f\x8b"
    if packed:
        shutil.copyfile(file, target)
    else:
        target.write_bytes(gzip.compress(file.read_bytes(), mtime=0))


def _has_digest(file: Path, digest: str) -> bool:
    kind, expected = digest.split(":")
    algorithm = kind.removeprefix("unpacked-")
    try:
        with gzip.open(file) if algorithm != kind else file.open("rb") as opened:
            return hashlib.file_digest(opened, algorithm).hexdigest() == expected
    except (OSError, EOFError) as error:
        raise IdxError(f"{file.name} is damaged: {error}") from None


def _describe_own(folder: Path) -> int:
    """Check a set of one's own, and leave the names of its classes, its labels, beside it: how many there are."""
    try:
        present = [name for name in FILES[1::2] if (folder / name).exists()]
        for images, labels in zip(FILES[::2], FILES[1::2], strict=True):
            if labels in present and len(read_file(folder / images, 3)) != len(read_file(folder / labels, 1)):
                raise IdxError(f"{images} and {labels} hold different numbers of examples")
        classes = np.unique(np.concatenate([read_file(folder / name, axes=1) for name in present])).tolist()
    except IdxError as error:
        raise FetchError(str(error)) from None
    (folder / OWN).write_text(json.dumps({"labels": classes}) + "\n", encoding="utf-8")
    return len(classes)
