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

from components.data.dataset import load_dataset
from components.data.own_files import SUMMARY, Record, keep_record, record_of
from components.errors import FetchError
from components.files import whole_folder
from components.params import params
from components.process.command import run


def download(name: str, settings: params.Params, target: Path) -> None:
    """Fetch data set `name` into folder `target`. Raises UserError, and then leaves nothing behind."""
    dataset = load_dataset(name)
    source_name, source = dataset.sources(settings.sections[name], settings.general.source)
    here: Path | None = getattr(source, "here", None)  # of the user's own
    record = _record(here) if here else None
    with whole_folder(target) as folder:
        try:
            source.fetch(folder)
        except FetchError as error:
            raise FetchError(_ways_out(name, source_name, error)) from None
        summary, lines = _describe(folder)
        text = json.dumps({"source": source_name, **summary}, indent=1)
        (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")
    if here and record:
        keep_record(Path(settings.paths.runs), name, here, record, target)
    for line in lines:
        print(f"{name} from {source_name}: {line}", flush=True)


def _record(here: Path) -> Record | None:
    """The record of what there is to copy; None where a file cannot be looked at, of which the copying tells."""
    try:
        return record_of(here)
    except OSError:
        return None


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


def _ways_out(name: str, source_name: str, error: FetchError) -> str:
    easier = {
        "sample": f"`{name}.source: synthetic` needs no network",
        "synthetic": "please report this",
    }.get(
        source_name,
        f"`source: sample` (and `{name}.source: null`) needs the package index alone, `{name}.source: synthetic` "
        f"needs no network, and `{name}.source` also takes the URL or path of a folder or archive with the files",
    )
    return f"{name}: {error}\nNothing was kept. In params.yaml, {easier}."


def main(name: str) -> None:
    settings = params.load()
    download(name, settings, Path(settings.paths.raw) / name)


if __name__ == "__main__":
    run(lambda: main(given.dataset))
