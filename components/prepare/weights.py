"""The weights stage: a backbone's published weights, from wherever, under the names that its network has here.

    python -m components.prepare.weights efficientnet_lite0

Read with weights_only or as safetensors, so that no code in a file is run.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(
        prog="python -m components.prepare.weights", description="Fetch a backbone's weights."
    )
    parser.add_argument("backbone", help="the name of an entry of backbones, or none")
    given = begin(parser)

import hashlib
import json
import pickle
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.errors import UserError
from components.files import whole_folder
from components.models.backbones import published
from components.models.backbones.networks import load_backbone
from components.params import params
from components.params.entries import NONE
from components.prepare.published import FETCHED, base_network, fetch
from components.process.command import run

FILE, SUMMARY = "weights.safetensors", "weights.json"


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


def fetch_weights(config: published.Config, target: Path, kept: Path | None = None) -> None:
    """Write the folder `target`: the weights under the network's names here, or none, and where they are from.

    kept: the folder where fetched files stay, for other entries that take them.
    """
    network, name = base_network(config), config.name
    backbone = load_backbone(network, f"{config.where}.timm")
    with whole_folder(target) as folder, tempfile.TemporaryDirectory(dir=folder) as temporary:
        summary: dict[str, object] = {"backbone": network, "weights": config.weights}
        if (found := fetch(config, kept or Path(temporary))) is not None:
            weights = remapped(read_weights(found.file), backbone.net.state_dict(), found.file.name)
            mean, std = torch.tensor(found.mean), torch.tensor(found.std)
            summary |= write_weights(folder, {**weights, "mean": mean, "std": std})
            print(f"{name}: {len(weights)} tensors of {network} from {found.file.name}", flush=True)
        else:
            print(f"{name}: no weights; {network} starts from random numbers", flush=True)
        (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def write_weights(folder: Path, weights: Mapping[str, Tensor]) -> dict[str, object]:
    """Write the file of weights; what a summary says of it."""
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / FILE)
    with (folder / FILE).open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return {"tensors": len(weights), "parameters": sum(w.numel() for w in weights.values()), "sha256": digest}


def leave_nothing(targets: Iterable[Path]) -> None:
    """Write folders without weights or data, which every entry can depend on that says none."""
    for target in targets:
        with whole_folder(target) as folder:
            (folder / SUMMARY).write_text(json.dumps({"weights": NONE}) + "\n", encoding="utf-8")


def load_weights(folder: Path | None) -> dict[str, Tensor]:
    """Read the weights in a folder; empty if there is none, or it says that there are none.

    Raises UserError if the stage that writes it has not run.
    """
    if folder is None:
        return {}
    if not (folder / SUMMARY).exists():
        raise UserError(f"{folder}: no weights here; `dvc repro` fetches them")
    return dict(load_file(folder / FILE)) if (folder / FILE).exists() else {}


def main(name: str) -> None:
    settings = params.load()
    paths = settings.paths
    if name == NONE:
        leave_nothing([Path(top) / NONE for top in (paths.models, paths.preprocessed, paths.split)])
        return
    config: published.Config = settings.entry("backbones", name)
    fetch_weights(config, Path(paths.models) / name, Path(paths.runs) / FETCHED)


if __name__ == "__main__":
    run(lambda: main(given.backbone))
