"""The download stage: a data set's files, whole and checked, or nothing at all.

python -m components.data.download mnist
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.data.download", description=__doc__)
    parser.add_argument("dataset", help="a data set's name, such as mnist")
    given = begin(parser)

import hashlib
import json
from pathlib import Path
from typing import Any

from components.data.own_files import SUMMARY
from components.data.source_files import READING, is_source_file, place_in
from components.data.sources import Source, own_tree
from components.errors import FetchError, UserError
from components.files import whole_folder
from components.params import params
from components.process.command import run

OWN = "your own files"


def download(name: str, settings: params.Params, target: Path) -> None:
    """Fetch data set `name` into folder `target`. Raises UserError, and then leaves nothing behind."""
    where, values = f"data.{name}", settings.plain("data", name)
    called, source, reading = source_of(values["source"], where, settings.general.profile)
    with whole_folder(target) as folder:
        try:
            source.fetch(folder)
        except FetchError as error:
            raise FetchError(f"{where}.source: {error}" if called == OWN else _ways_out(where, error)) from None
        summary, lines = _describe(folder)
        text = json.dumps({"source": called, **summary, READING: reading}, indent=1, ensure_ascii=False)
        (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")
    for line in lines:
        print(f"{name} from {called}: {line}", flush=True)


def source_of(source: str, where: str, profile: str) -> tuple[str, Source, dict[str, Any]]:
    """(what it is called, the source, how its files are read) of an entry of data. Raises UserError.

    source: as the entry has it; where: the entry's path in params.yaml.
    """
    if is_source_file(source):
        called, place = place_in(Path(source), profile, where)
        return called, place.source(), place.model_dump(mode="json", include={"classes", "labels", "only", "fraction"})
    try:
        return OWN, own_tree(source), {}
    except UserError as error:
        raise UserError(f"{where}.source: {error}") from None


def _describe(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The content of source.json on the fetched files, and the lines to print.

    {"sha256": {file name: its digest}} of a flat folder; {"files": their number, "sha256": one digest over all
    names and contents, "bytes"} of a tree, which may hold tens of thousands.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = {path.relative_to(folder).as_posix(): _digest(path) for path in files}
    sizes = [path.stat().st_size for path in files]
    if all(path.parent == folder for path in files):
        return {"sha256": sums}, [f"{file}, {size / 1e6:.1f} MB" for file, size in zip(sums, sizes, strict=True)]
    names = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    total = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()
    summary: dict[str, Any] = {"files": len(files), "bytes": sum(sizes), "sha256": total}
    visible = (p for p in folder.rglob("*") if p.is_dir() and not p.name.startswith((".", "__")))
    if empty := sorted(p.relative_to(folder).as_posix() for p in visible if not any(p.iterdir())):
        summary["empty_folders"] = empty
    return summary, [f"{len(files)} files, {sum(sizes) / 1e6:.1f} MB"]


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _ways_out(where: str, error: FetchError) -> str:
    return (
        f"{where}: {error}\nNothing was kept. `profile: sample` in params.yaml needs the package index alone, "
        f"those in data/sources/synthetic no network; {where}.source also takes your own files' path, and a "
        f"source file any URL."
    )


def main(name: str) -> None:
    settings = params.load()
    download(name, settings, Path(settings.paths.raw) / name)


if __name__ == "__main__":
    run(lambda: main(given.dataset))
