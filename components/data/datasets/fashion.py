"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): garments in MNIST's layout, and what a model of digits never saw.

28 x 28 grey images of 10 classes, 60,000 to train and 10,000 to test. No wheel carries them: the sample is drawn here.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from components.data.dataset import Dataset, Examples, SplitConfig
from components.data.formats.idx import FILES, read_idx
from components.data.formats.idx_source import IdxSet, Published
from components.data.sources import Source, Synthetic, Web, url_of
from components.errors import UserError
from components.params.section import Section

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
MD5 = (  # of the packed files, as torchvision lists them
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
)
FASHION_FILES = {name: f"md5:{digest}" for name, digest in zip(FILES, MD5, strict=True)}
SOURCES: dict[str, Source] = {
    "sample": Synthetic("components.data.synthetic.garments"),
    "synthetic": Synthetic("components.data.synthetic.garments"),
    "full": Web(FASHION_FILES, mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",)),
}

PUBLISHED = Published(
    "Fashion-MNIST",
    FASHION_FILES,
    examples=(6000, 1000),
    labels=((9, 0, 0, 3, 0, 2, 7, 2, 5, 5), (9, 2, 1, 1, 6, 1, 4, 6, 5, 7)),
)


class Config(Section):
    source: str = Field(
        "general",
        description="general (as the key `source` says) | sample | synthetic | full | the URL, folder or archive of "
        "Fashion-MNIST's four files, or the folder or archive of other images in such files",
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
        raise UserError(f"fashion.source: {error}; the sources: {', '.join(SOURCES)}") from None


def read(config: Config, folder: Path, scratch: Path) -> Examples:
    """Read what the download stage left in `folder`, as Examples of shape (n, 1, 28, 28) or a set's own."""
    return read_idx(folder, GARMENTS)


DATASET = Dataset(name="fashion", sources=sources, read=read)
