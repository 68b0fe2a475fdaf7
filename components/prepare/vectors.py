"""The vectors stage: word2vec's vectors as the weights that a classifier of texts starts from.

python -m components.prepare.vectors lstm
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(
        prog="python -m components.prepare.vectors", description="Words' vectors to start from."
    )
    parser.add_argument("model", help="the name of a classifier of texts, such as lstm")
    given = begin(parser)

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from components.data.arrays import Split, open_split
from components.data.text.vocabulary import FIRST, ids_by_word
from components.errors import UserError
from components.files import whole_folder
from components.models import artifact
from components.models.families import lstm, word2vec
from components.params import params
from components.prepare.weights import FILE, SUMMARY
from components.process.command import run


def prepare(name: str, config: lstm.Config, split: Split, source: Path, target: Path) -> None:
    """Write the folder `target`: vectors in the numbers of `split`'s vocabulary, or none if the encoding needs none.

    source: the folder of a trained word2vec. A word that it does not know starts as zeros, as padding does.
    Raises UserError when its vectors are of another width than the section says.
    """
    with whole_folder(target) as folder:
        # What the training reads besides this folder: a change of it makes it stale.
        summary = {"encoding": config.encoding, "split": split.fingerprint}
        if config.encoding == "word2vec":
            vectors = vectors_for(name, config, split, source)
            save_file({"vectors": vectors}, folder / FILE)
            known = int(vectors.any(dim=1).sum())
            said = f"vectors of {known} of {len(vectors) - FIRST} words from {source.name}"
        else:
            said = f"no vectors: lstm.encoding is {config.encoding}"
        (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(f"{name}: {said}", flush=True)


def vectors_for(name: str, config: lstm.Config, split: Split, source: Path) -> Tensor:
    """(numbers, width) float32. Raises UserError when there are none that fit."""
    trained = artifact.load(source)
    if not isinstance(trained.model, word2vec.Word2Vec) or trained.spec.text is None or split.text is None:
        raise UserError(f"{source}: this is no word2vec model of texts")
    given = trained.model.vectors.weight.detach()
    if given.shape[1] != config.embedding:
        raise UserError(
            f"{name}.embedding: {config.embedding}, but word2vec.dimensions is {given.shape[1]}; make them the same"
        )
    places = ids_by_word(trained.spec.text)
    vectors = torch.zeros(FIRST + len(split.text.words), config.embedding)
    for token, word in enumerate(split.text.words, FIRST):
        if word in places:
            vectors[token] = given[places[word]]
    if not vectors.any():
        raise UserError(
            f"{name}.encoding: word2vec knows none of the words of {config.data}; set word2vec.data: {config.data}, "
            f"or {name}.encoding: embedding"
        )
    return vectors


def main(name: str) -> None:
    settings = params.load()
    config = settings.sections.get(name)
    if not isinstance(config, lstm.Config):
        raise UserError(f"{name!r} is no classifier of texts")
    split = open_split(Path(settings.paths.split) / config.data)
    prepare(name, config, split, Path(settings.paths.models) / "word2vec", Path(settings.paths.weights) / name)


if __name__ == "__main__":
    run(lambda: main(given.model))
