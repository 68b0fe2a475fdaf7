"""The folders that a training reads, on whichever node its workers are.

A node that has the driver's very folder, where the project lies there, reads that. Any other fetches it from the shared
storage, once for all of its workers.

<storage>/data/<digest>/...              what the driver has published
<storage>/data/<digest>/complete.json    its files' names and sizes, written last: without it the rest is not all there
<cache>/<digest>/                        what a node has fetched; under another name until it is whole
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from components.cluster.storage import VARIABLE, Location
from components.data.arrays import SUMMARY, Split, open_split
from components.data.decoded import SUMMARY as DECODED
from components.errors import UserError
from components.files import whole_folder

ROOT = "TRAINYARD_ROOT"  # of a node: where the project lies there, if not where it does on the driver's machine
CACHE = "TRAINYARD_CACHE"  # of a node: where what it fetches is kept
COMPLETE = "complete.json"


@dataclass(frozen=True)
class Sent:
    """A folder, as workers are told of it.

    root, path: the project's folder on the driver's machine, and the folder in it.
    digest:     of what is in it.
    published:  where in the shared storage it is; None if it is not.
    """

    root: str
    path: str
    digest: str
    published: Location | None


def digest_of_folder(folder: Path) -> str | None:
    """None if there is no such folder. Of splits and decoded images the summary is enough, which has digests."""
    for name in (SUMMARY, DECODED):
        if (folder / name).is_file():
            return hashlib.sha256((folder / name).read_bytes()).hexdigest()
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if not files:
        return None
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(f"{file.relative_to(folder)} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def send(folder: Path, storage: Location | None) -> Sent:
    """Tell workers of this folder of the driver's, and put it into the storage if there is one."""
    root, folder = Path.cwd().resolve(), folder.resolve()
    digest = digest_of_folder(folder)
    assert digest is not None, "the driver has read it"
    inside = folder.relative_to(root) if folder.is_relative_to(root) else folder
    published = storage / "data" / digest if storage else None
    if published:
        _publish(folder, published)
    return Sent(str(root), str(inside), digest, published)


@dataclass(frozen=True)
class SentSplit:
    """A split, as workers are told of it. arrays: the folder of those that lie elsewhere; None if all lie in it."""

    folder: Sent
    arrays: Sent | None


def send_split(split: Split, storage: Location | None) -> SentSplit:
    """Tell workers of the folders of a split."""
    elsewhere = split.arrays_in if split.arrays_in != split.folder else None
    return SentSplit(send(split.folder, storage), send(elsewhere, storage) if elsewhere else None)


def split_on_this_node(sent: SentSplit) -> Split:
    """Open a split, here. Raises UserError as `on_this_node` does."""
    return open_split(on_this_node(sent.folder), on_this_node(sent.arrays) if sent.arrays else None)


def _publish(folder: Path, target: Location) -> None:
    """Copy what the storage lacks of a folder. After a kill it goes on; two at once write the same."""
    there = target.files()
    if COMPLETE in there:
        return
    own = {str(file.relative_to(folder)): file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    lacking = [name for name, size in own.items() if there.get(name) != size]
    print(f"{VARIABLE}: {sum(own[n] for n in lacking) / 1e6:,.0f} MB of data go to {target}", flush=True)
    for name in lacking:
        (target / name).upload(folder / name)
    (target / COMPLETE).write(json.dumps(own, indent=1).encode())


def on_this_node(sent: Sent) -> Path:
    """The folder, here. Raises UserError, which names the settings, when this node neither has it nor can have it."""
    here = Path(os.environ.get(ROOT) or sent.root) / sent.path
    if digest_of_folder(here) == sent.digest:
        return here
    if sent.published is None:
        fault = "holds other data than the driver has" if here.exists() else "is not there"
        raise UserError(
            f"{socket.gethostname()}: {here} {fault}; set {VARIABLE} to a storage that all nodes reach, so that they "
            f"fetch it, or put the project on a disk that they share ({ROOT} of a node says where it lies there)"
        )
    cache = Path(os.environ.get(CACHE) or Path.home() / ".cache" / "trainyard")
    target = cache / sent.digest
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{sent.digest}.lock"):
            if not target.exists():
                with whole_folder(target) as part:
                    _fetch(sent.published, part)
    except OSError as error:
        raise UserError(
            f"{socket.gethostname()}: {sent.published} could not be fetched into {cache}: {error}; the folder, which "
            f"{CACHE} of that node names, needs room for it"
        ) from None
    return target


def _fetch(published: Location, folder: Path) -> None:
    """Raises OSError when what arrives is not what was published."""
    for name, size in json.loads((published / COMPLETE).read()).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        (published / name).download(file)
        if file.stat().st_size != size:
            raise OSError(f"{name} has {file.stat().st_size} bytes of {size}")
