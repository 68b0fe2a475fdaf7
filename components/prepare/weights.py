"""The weights stage: a backbone's published weights, from wherever, under the names that its network has here.

    python -m components.prepare.weights transfer

Read with weights_only or as safetensors, so that no code in a file is run.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(
        prog="python -m components.prepare.weights", description="Fetch a backbone's weights."
    )
    parser.add_argument("model", help="a model's name, such as transfer")
    given = begin(parser)

import hashlib
import json
import pickle
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.data.arrays import Split
from components.errors import UserError
from components.files import whole_folder
from components.models import artifact
from components.models.backbones.networks import load_backbone
from components.models.encoders import Encoder
from components.models.pretrained import PretrainedConfig
from components.models.task import TrainingConfig
from components.params import params
from components.params.declarations import MODELS, declared_in
from components.prepare.published import FETCHED, Published, fetch
from components.process.command import run

FILE, SUMMARY = "backbone.safetensors", "weights.json"
PIPELINE = Path("dvc.yaml")


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


def prepare(
    where: str, config: PretrainedConfig, target: Path, models: Path | None = None, kept: Path | None = None
) -> None:
    """Write the folder `target`: the weights under this network's names, or none, and where they are from.

    models: the folder of this pipeline's models.
    kept:   the folder where fetched files stay, for others that start from them.
    """
    backbone = load_backbone(config.base_network, f"{where}.backbone")
    with whole_folder(target) as folder, tempfile.TemporaryDirectory(dir=folder) as temporary:
        summary: dict[str, object] = {"backbone": config.base_network, "weights": config.weights}
        published: Published | None
        if models and config.weights in declared_in(MODELS):
            weights = {name: tensor.contiguous() for name, tensor in from_model(config, where, models).items()}
            published = Published(models / config.weights, mean=(0.0,), std=(1.0,))
        elif (published := fetch(config, where, kept or Path(temporary))) is not None:
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
    """Read what the weights stage wrote; empty where it was told to bring none. Raises UserError if it has not run."""
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


def main(name: str) -> None:
    settings = params.load()
    config = settings.sections.get(name)
    if not isinstance(config, PretrainedConfig):
        raise UserError(f"{name!r} is no model that starts from a backbone's weights")
    check_watched(name, config, PIPELINE)
    paths = settings.paths
    prepare(name, config, Path(paths.weights) / name, Path(paths.models), Path(paths.runs) / FETCHED)


if __name__ == "__main__":
    run(lambda: main(given.model))
