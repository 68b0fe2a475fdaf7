"""The storage that machines share, which TRAINYARD_STORAGE names: s3://bucket/folder, or file:///disk/folder.

Trainings keep their checkpoints there, and nodes without the data fetch them from there. Unset: all is on this machine.
S3's keys and server are read from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_REGION, by the driver
alone: other machines get them inside the file system, since Ray writes workers' variables into its logs.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pyarrow import fs

from components.errors import UserError

VARIABLE = "TRAINYARD_STORAGE"
FORMS = "s3://bucket/folder, file:///disk/folder, or another address that pyarrow.fs.FileSystem.from_uri knows"
CONNECT_SECONDS = 5  # pyarrow's own limit is 1, too little for a busy machine
CHUNK = 64 * 2**20  # bytes of a copied file that are in memory at once
OBJECT_STORES = ("s3", "gcs")  # where a file is there whole or not at all, and a rename copies it
KEY_VARIABLES = {
    "access_key": "AWS_ACCESS_KEY_ID",
    "secret_key": "AWS_SECRET_ACCESS_KEY",
    "session_token": "AWS_SESSION_TOKEN",
}
KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY have to be those of a user who may write there."
BUCKET = "Create the bucket, or name another."
ADVICE = {  # what the AWS SDK says → the way out
    "NETWORK_CONNECTION": "Nothing answers there; AWS_ENDPOINT_URL has to be the server's address.",
    "NO_SUCH_BUCKET": BUCKET,
    "Bucket '": BUCKET,
    "ACCESS_DENIED": KEYS,
    "INVALID_ACCESS_KEY_ID": KEYS,
    "SIGNATURE_DOES_NOT_MATCH": KEYS,
    "HTTP status 301": "AWS_REGION has to be the bucket's region.",
}


@dataclass(frozen=True)
class Location:
    """A folder or a file, on this machine or in a storage; it need not be there yet.

    filesystem: pyarrow's, or what it makes of one of fsspec's. It can be sent to other machines; one of S3's takes
                the environment's keys along.
    """

    filesystem: Any
    path: str

    def __truediv__(self, name: str) -> Location:
        return Location(self.filesystem, f"{self.path}/{name}")

    def __str__(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> Location:
        return Location(self.filesystem, self.path.rpartition("/")[0])

    def files(self) -> dict[str, int]:
        """All files under this folder: path from here → bytes. Empty where there is no such folder."""
        with self._faults():
            entries = self.filesystem.get_file_info(fs.FileSelector(self.path, recursive=True, allow_not_found=True))
        return {each.path[len(self.path) + 1 :]: each.size for each in entries if each.is_file}

    def last_written(self) -> float | None:
        """When something under this folder was last written, in seconds since 1970; None if nothing is there."""
        with self._faults():
            entries = self.filesystem.get_file_info(fs.FileSelector(self.path, recursive=True, allow_not_found=True))
        return max((each.mtime.timestamp() for each in entries if each.is_file and each.mtime), default=None)

    def read(self) -> bytes:
        """Raises FileNotFoundError if there is no such file."""
        with self._faults(), self.filesystem.open_input_stream(self.path) as opened:
            content: bytes = opened.readall()
            return content

    def write(self, content: bytes | memoryview) -> None:
        """The file whole or not at all, and the folders above it."""
        atomic = self.filesystem.type_name in OBJECT_STORES
        part = self if atomic else self.parent / f".{self.name}.{secrets.token_hex(4)}.part"
        with self._faults():
            self.filesystem.create_dir(self.parent.path)
            with self.filesystem.open_output_stream(part.path) as opened:
                opened.write(content)
            if not atomic:
                self.filesystem.move(part.path, self.path)

    def move(self, target: Location) -> None:
        """Give this file another name in the same storage, in place of what has that."""
        with self._faults():
            self.filesystem.move(self.path, target.path)

    def upload(self, file: Path) -> None:
        """Bring a file of this machine's here, however large it is."""
        with self._faults():
            self.filesystem.create_dir(self.parent.path)
            _copy(local(file), self)

    def download(self, file: Path) -> None:
        _copy(self, local(file))

    def delete(self) -> None:
        """A file, or a folder with all that is in it, as far as that can be done: a killed process may still write."""
        with suppress(OSError):
            if self.filesystem.get_file_info(self.path).is_file:
                self.filesystem.delete_file(self.path)
            else:
                self.filesystem.delete_dir(self.path)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """A storage's failures are a user's to mend; a disk's are not told otherwise than everywhere."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            if isinstance(self.filesystem, fs.LocalFileSystem):
                raise
            raise _fault(self.path, error) from None


def _copy(source: Location, target: Location) -> None:
    fs.copy_files(
        source.path,
        target.path,
        source_filesystem=source.filesystem,
        destination_filesystem=target.filesystem,
        chunk_size=CHUNK,
        use_threads=False,  # with them uploads to S3 have got stuck: apache/arrow#32372
    )


def local(path: Path) -> Location:
    return Location(fs.LocalFileSystem(), str(path.resolve()))


def shared() -> Location | None:
    """The storage at TRAINYARD_STORAGE, which can be written to; None if that is unset.

    Raises UserError, within seconds, for an address that is none, and where nothing answers, there is no such bucket or
    the keys are refused.
    """
    address = os.environ.get(VARIABLE)
    if not address:
        return None
    storage = _opened(address)
    probe = storage / f".probe-{secrets.token_hex(4)}"
    try:
        storage.filesystem.create_dir(storage.path)
        with storage.filesystem.open_output_stream(probe.path):
            pass
        storage.filesystem.delete_file(probe.path)
    except Exception as error:  # fsspec's file systems raise any
        raise _fault(address, error) from None
    return storage


def _opened(address: str) -> Location:
    parts = urlsplit(address)
    if "@" in parts.netloc and parts.scheme == "s3":
        raise UserError(f"{VARIABLE}: keys in the address would be seen; set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY")
    if parts.scheme == "s3" and parts.netloc and not parts.query:
        return Location(_s3(), f"{parts.netloc}{parts.path}".rstrip("/"))
    try:
        filesystem, path = fs.FileSystem.from_uri(address)
    except (OSError, ValueError, ImportError) as error:
        raise _fault(address, error, f"It takes {FORMS}.") from None
    if isinstance(filesystem, fs.S3FileSystem):  # from_uri leaves the keys to each node's environment
        make, (options,) = filesystem.__reduce__()
        filesystem = make(options | _keys())
    if not path.strip("/"):
        raise UserError(f"{VARIABLE}: {address!r} names no folder; it takes {FORMS}")
    return Location(filesystem, path.rstrip("/"))


def _s3() -> Any:
    """With more time to connect than from_uri gives. Unlike that, the class does not read the endpoint's variable."""
    endpoint = _endpoint()
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return fs.S3FileSystem(
        endpoint_override=endpoint,
        region=region or ("us-east-1" if endpoint else None),  # else AWS's SDK looks for its machine's
        connect_timeout=CONNECT_SECONDS,
        **_keys(),
    )


def _keys() -> dict[str, str]:
    """The environment's, since explicit keys alone are pickled. None where a machine's role or ~/.aws has them."""
    given = {option: os.environ.get(name, "") for option, name in KEY_VARIABLES.items()}
    return {option: key for option, key in given.items() if key} if given["access_key"] and given["secret_key"] else {}


@contextmanager
def keys_hidden() -> Iterator[None]:
    """No keys in this process's environment: Ray Tune would copy them into its trials', which Ray logs."""
    names = (*KEY_VARIABLES.values(), "AWS_SECURITY_TOKEN")  # the last is an older name that Tune copies, too
    taken = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(taken)


def _endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def _fault(where: str, error: Exception, otherwise: str = "") -> UserError:
    said = (str(error).strip() or type(error).__name__).splitlines()[0].partition(" To create buckets")[0].rstrip(".")
    advice = next((way for sign, way in ADVICE.items() if sign in said), otherwise)
    at = f" at {_endpoint()}" if _endpoint() and advice in ADVICE.values() else ""
    return UserError(
        f"{VARIABLE}: {where}{at} cannot be used: {said}.\n"
        f"{advice}{' ' if advice else ''}Unset {VARIABLE} to keep all on this machine."
    )
