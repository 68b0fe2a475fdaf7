"""Write an entry into params.yaml, after a look at what is there.

    python -m components.add data cifar --source ../photos
    python -m components.add model cnn_cifar --family cnn --data cifar -S dropout=0.4

Any key of the entry may follow as -S key=value; `python -m components.params NAME` explains them.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.add", description="Write an entry into params.yaml.")
    parsers = parser.add_subparsers(dest="group", required=True)
    data = parsers.add_parser("data", help="a data set: a folder, an archive or a file of your own, or a URL")
    data.add_argument("--source", required=True, help="its path or URL")
    data.add_argument("--kind", help="images, boxes, texts or digits, if it is not to be found out")
    model = parsers.add_parser("model", help="a model, trained on a data set of params.yaml")
    model.add_argument("--family", required=True, help="cnn, transfer, lstm, ...")
    model.add_argument("--data", required=True, help="the name of a data set")
    model.add_argument("--start", help="none, a backbone, or another model")
    for own in (data, model):
        own.add_argument("name", help="its name: small letters, digits and _")
        own.add_argument("-S", "--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the entry")
    given = begin(parser)

import os
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from components.data.look import look
from components.entries.names import check_new
from components.errors import UserError
from components.files import write_whole
from components.params import params
from components.params.change import add_entry, as_yaml
from components.params.declarations import MODELS, config_of, declared_in
from components.params.entries import NONE
from components.params.faults import nearest
from components.process.command import run


def add_data(name: str, source: str, chosen: Mapping[str, Any], settings: params.Params) -> list[str]:
    """What to say of it. Raises UserError, with nothing written, for what cannot be read or is not allowed."""
    check_new("data", name, settings)
    with _source(name, source, Path(settings.paths.sources)) as path:
        seen = look(name, path, chosen, settings.general.profile)
        written = _written("data", name, seen.values)
    after = f"Next: a model of it, such as `python -m components.add model {name}_model --family … --data {name}`"
    return [*seen.lines, *written, after]


def add_model(
    name: str, family: str, data: str, start: str | None, chosen: Mapping[str, Any], settings: params.Params
) -> list[str]:
    """What to say of it. Raises UserError, with nothing written, for what is not allowed."""
    check_new("models", name, settings)
    if family not in declared_in(MODELS):
        raise UserError(f"{family!r} is no family{nearest(family, list(declared_in(MODELS)))}")
    values = {"family": family, "data": data, "start": start or _start(family, settings), **chosen}
    written = _written("models", name, values)
    after = f"Next: `dvc repro evaluate@{name}` or `make run`; `python -m components.tune {name}` searches its values"
    return [*written, after]


def _written(group: str, name: str, values: Mapping[str, Any]) -> list[str]:
    text = add_entry(params.FILE, group, name, dict(values))
    return [f"{params.FILE} has it now, under {group}:", text]


def _start(family: str, settings: params.Params) -> str:
    """What a model starts from where nothing is said. Raises UserError where one has to choose."""
    if NONE in config_of(MODELS, family).starts_from(family):  # type: ignore[attr-defined]
        return NONE
    backbones = settings.groups["backbones"]
    if len(backbones) != 1:
        raise UserError(f"a {family} starts from a backbone; choose by --start: {', '.join(backbones) or 'none there'}")
    return backbones[0]


@contextmanager
def _source(name: str, source: str, sources: Path) -> Iterator[str]:
    """The source as params.yaml has it: a path that DVC can watch. For a URL a source file is written.

    Which goes again if the block fails. Raises UserError where there is no such file or folder.
    """
    if urllib.parse.urlsplit(source).scheme in ("http", "https", "ftp"):
        file = sources / f"{name}.yaml"
        if file.exists():
            raise UserError(f"{file} is there already; name it as --source, or delete it")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, f"url: {as_yaml(source)}\n")
        try:
            yield file.as_posix()
        except BaseException:
            file.unlink()
            raise
        return
    path = Path(source).expanduser()
    if not path.exists():
        raise UserError(f"--source: {source!r}: there is no such file or folder")
    project = Path.cwd()
    here = Path(os.path.normpath(project / path))  # not resolved: a link may lead elsewhere tomorrow
    yield here.relative_to(project).as_posix() if here.is_relative_to(project) else here.as_posix()


def values_of(settings: Sequence[str]) -> dict[str, Any]:
    """The keys and values of KEY=VALUE, values as YAML has them. Raises UserError."""
    values: dict[str, Any] = {}
    for each in settings:
        key, equals, value = each.partition("=")
        if not equals or not key:
            raise UserError(f"-S {each}: expected KEY=VALUE, such as side=64")
        try:
            values[key] = YAML(typ="safe", pure=True).load(value)
        except YAMLError:
            raise UserError(f"-S {each}: the value is not YAML; put it in quotes") from None
    return values


def main(told: Any) -> None:
    settings, chosen = params.load(), values_of(told.set)
    if told.group == "data":
        chosen = {**({"kind": told.kind} if told.kind else {}), **chosen}
        lines = add_data(told.name, told.source, chosen, settings)
    else:
        lines = add_model(told.name, told.family, told.data, told.start, chosen, settings)
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    run(lambda: main(given))
