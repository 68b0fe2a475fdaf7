"""Predictions of a trained model for a text, a file, or a folder of files: one line of JSON for each.

    python -m components.predict lstm "A film that I could not stop watching."
    python -m components.predict lstm reviews.csv
    python -m components.predict transfer photo.jpg

INPUT is a file or folder if there is one of that name, else it is taken as a text by models of texts; - reads texts
from standard input, one in a line. Of a table each row is a text.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.predict", description="Ask a trained model.")
    parser.add_argument("model", help="a trained model's name, such as cnn or lstm")
    parser.add_argument(
        "input", help="a text (after -- if it begins with -), a file, a folder, or - for lines of texts"
    )
    parser.add_argument("--promoted", action="store_true", help="the promoted model, in place of the last one trained")
    given = begin(parser)

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.data.endings import JSON, TABLES
from components.data.findings import Findings
from components.data.formats import images, table_files, tables, text_files
from components.data.formats.folders import files_below
from components.data.formats.table_files import Wanted
from components.data.text import vocabulary
from components.errors import UserError
from components.evaluate.evaluation import evaluation_of
from components.evaluate.results import Results, results_of
from components.models import artifact
from components.models.artifact import Artifact
from components.params import params
from components.params.section import Section
from components.process.command import run
from components.promote import promoted_folder

AT_ONCE = 32
OWN_KEYS = {"input", "note", "error"}  # of a line, beside what the model says
SOME_FAILED = 1
TEXT_SHOWN = 80  # letters of a text that is no file's


@dataclass(frozen=True)
class Read:
    """One input as the model takes it, or why it cannot: `values` is None then.

    values: a text's token ids, int32 (words,), or an image, uint8 (channels, height, width).
    notes:  what was odd about it, for its line.
    """

    name: str
    values: np.ndarray | None
    notes: dict[str, str]


def predictions(trained: Artifact, results: Results, given: Iterator[Read]) -> Iterator[dict[str, Any]]:
    """A dict for each input, in order: `input`, what the model says of it or `error`, `note` if it was odd."""
    waiting: list[Read] = []
    for read in given:
        waiting.append(read)
        if len(waiting) == AT_ONCE:
            yield from _described(trained, results, waiting)
            waiting = []
    yield from _described(trained, results, waiting)


@torch.inference_mode()
def _described(trained: Artifact, results: Results, given: Sequence[Read]) -> Iterator[dict[str, Any]]:
    usable = [read.values for read in given if read.values is not None]
    told: Iterator[dict[str, Any]] = iter(())
    if usable:
        inputs = _padded(usable) if trained.spec.text else torch.from_numpy(np.stack(usable)).float() / 255
        outputs = results.predict(trained.model, inputs)
        told = iter(results.describe(trained.model, trained.spec, inputs, outputs))
    for read in given:
        said = next(told) if read.values is not None else {}
        assert not said.keys() & OWN_KEYS, "a model's answer is not what was wrong with its input"
        yield {"input": read.name, **said, **read.notes}


def _padded(texts: Sequence[np.ndarray]) -> torch.Tensor:
    """(texts, words of the longest) int64, 0 behind a shorter text."""
    inputs = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)
    for row, ids in enumerate(texts):
        inputs[row, : len(ids)] = ids
    return torch.from_numpy(inputs)


class TextReader:
    """Texts as a model of texts takes them."""

    def __init__(self, text: vocabulary.Text, wanted: Wanted) -> None:
        """wanted: the column of tables with the texts."""
        from components.data.text.words import Words

        self.text, self.wanted, self.words = text, wanted, Words(text.steps)
        self.known = vocabulary.ids_by_word(text)

    def read(self, name: str, text: str, notes: dict[str, str]) -> Read:
        import pandas as pd

        words = self.words(pd.DataFrame({"text": [text]}))["words"].iloc[0]
        ids = vocabulary.token_ids(self.text, self.known, words)
        if not len(ids):
            return Read(name, None, {**notes, "error": "no word is left of this text"})
        if (ids == vocabulary.UNKNOWN).all():
            return Read(name, None, {**notes, "error": f"the model knows none of its {len(ids)} words"})
        return Read(name, ids, notes)

    def inputs(self, given: str) -> Iterator[Read]:
        path = _path(given)
        if given == "-":
            for number, line in enumerate(sys.stdin.buffer, 1):
                yield self._bytes(f"line {number}", line)
        elif path is None:
            short = given if len(given) <= TEXT_SHOWN else f"{given[:TEXT_SHOWN]}…"
            yield self._bytes(short.encode("utf-8", "replace").decode(), _content(given))
        else:
            readable = (*text_files.TEXT, *TABLES)
            for file in _files(path, table_files.files_in(path, readable) if path.is_dir() else [path]):
                if file.name.lower().endswith((*TABLES, *JSON)):
                    yield from self._rows(file)
                    continue
                try:
                    yield self._bytes(_printable(file), file.read_bytes())
                except OSError as error:
                    yield Read(_printable(file), None, {"error": f"cannot be read: {error.strerror}"})

    def _rows(self, file: Path) -> Iterator[Read]:
        """The texts of a table. Raises UserError for a file that is none, or that lacks the column."""
        (column,) = self.wanted.columns
        for frame in tables.rows(file, _printable(file), self.wanted, Findings()):
            for name, text in zip(frame["name"], frame[column], strict=True):
                yield self._bytes(name, text.encode("utf-8", "replace"))

    def _bytes(self, name: str, content: bytes) -> Read:
        text, odd = tables.decode(content)
        if "\0" in text:
            return Read(name, None, {"error": "no text, but other bytes"})
        return self.read(name, text, {"note": odd} if odd else {})


class ImageReader:
    """Image files as a model of images takes them: square, with its number of channels."""

    def __init__(self, trained: Artifact, dataset: Section) -> None:
        self.channels, self.side = trained.spec.input_shape[:2]
        self.bits = trained.spec.grey_bits
        if trained.task.derive:  # it was trained on parts of images, which are as large as the data set has them
            self.side = dataset.side  # type: ignore[attr-defined]

    def inputs(self, given: str) -> Iterator[Read]:
        path = _path(given)
        if path is None:
            raise UserError(f"{given!r}: there is no such image file or folder")
        files = images_below(path) if path.is_dir() else [path]
        for file in _files(path, files):
            decoded = images.decode(file, self.side, images.formats(), self.bits)
            if isinstance(decoded, images.Unreadable):
                yield Read(_printable(file), None, {"error": f"{decoded.kind}: {decoded.reason}"})
                continue
            note = {"note": ", ".join(decoded.kinds)} if decoded.kinds else {}
            yield Read(_printable(file), decoded.pixels if self.channels == 3 else images.grey(decoded.pixels), note)


def reader_for(trained: Artifact, settings: params.Params) -> TextReader | ImageReader:
    """The reader of the model's inputs."""
    if trained.spec.text:
        entry = settings.entry("data", trained.config.data)
        columns = {entry.text_column: f"{entry.where}.text_column"}
        return TextReader(trained.spec.text, Wanted(columns, "", entry.delimiter, entry.where))
    return ImageReader(trained, settings.sections[trained.config.data])


def images_below(folder: Path) -> list[Path]:
    """The image files in a folder and below it."""
    return [file for file in files_below(folder) if images.is_meant_as_image(file)]


def _content(given: str) -> bytes:
    """A text's bytes. Those that are no UTF-8 come from the shell as surrogates."""
    try:
        return given.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other surrogates, which stand for nothing
        return given.encode("utf-8", "replace")


def _path(given: str) -> Path | None:
    """The file or folder of this name, if there is one; a text of a megabyte is no name."""
    try:
        path = Path(given)
        return path if given and path.exists() else None
    except (OSError, ValueError):
        return None


def _printable(file: Path) -> str:
    """A file's name as text, whatever bytes it is made of."""
    return tables.decode(os.fsencode(file))[0]


def _files(path: Path, files: Sequence[Path]) -> Sequence[Path]:
    if not files:
        raise UserError(f"{path}: no files for this model in it")
    return files


def main(name: str, given_input: str, promoted: bool) -> None:
    settings = params.load()
    models = Path(settings.paths.models)
    trained = artifact.load(promoted_folder(models, name) if promoted else models / name)
    reader = reader_for(trained, settings)
    failed = 0
    assert isinstance(sys.stdout, TextIOWrapper)
    sys.stdout.reconfigure(encoding="utf-8")
    results = results_of(trained.task.family, evaluation_of(settings))
    for line in predictions(trained, results, reader.inputs(given_input)):
        failed += "error" in line
        print(json.dumps(line, ensure_ascii=False), flush=True)
    if failed:
        print(f"error: {failed} of the inputs could not be used; their lines say why", file=sys.stderr)
        sys.exit(SOME_FAILED)


if __name__ == "__main__":
    run(lambda: main(given.model, given.input, given.promoted))
