"""The text stage's work on Parquet files that are too many for one process: by Ray Data, on the cluster or its own.

Each file is read, judged and taken apart by the same function as on one machine; rows come back in the files' order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from components.cluster import joining
from components.data.findings import Findings
from components.data.formats import tables, text_files
from components.data.kind import TextConfig
from components.data.text.rows import wanted_of, worded
from components.data.text.words import Words
from components.errors import UserError

ROWS_AT_ONCE = 25_000


def worded_on_ray(folder: Path, files: Sequence[Path], config: TextConfig) -> Iterator[pd.DataFrame]:
    """Every row of the files below a folder with its words, as `worded` gives them, in order.

    On a cluster of several machines the files are on a disk that all of them share. Raises UserError as reading does.
    """
    wanted = wanted_of(config)
    for file in files:
        tables.check_columns(file, tables.columns_of(file, wanted), wanted)
    joining.connect()
    import ray  # after joining.connect, whose settings it reads when imported
    import ray.data

    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        ray.data.DataContext.get_current().execution_options.preserve_order = True
        named = [
            {"path": str(file.resolve()), "called": str(file.relative_to(folder)), "subset": subset}
            for file, subset in tables.subsets_of(files, folder, wanted).items()
        ]
        work = partial(worded_file, config=config)
        done = ray.data.from_items(named, override_num_blocks=len(files)).map_batches(
            work, batch_size=1, batch_format="pandas"
        )
        for frame in done.iter_batches(batch_size=ROWS_AT_ONCE, batch_format="pandas"):
            for message in frame["refused"][frame["refused"] != ""]:
                raise UserError(message)
            yield frame
    finally:
        ray.shutdown()


def worded_file(files: pd.DataFrame, config: TextConfig) -> Iterator[pd.DataFrame]:
    """The rows of the one file that the frame names, chunk by chunk, with their words.

    A file that cannot be read is a row with the message in `refused`: Ray would wrap the exception into its own.
    """
    words = Words(config.steps)
    (path,), (called,), (subset,) = files["path"], files["called"], files["subset"]
    try:
        for frame in text_files.table_frames(Path(path), called, wanted_of(config), Findings(), subset):
            yield worded(frame, words, config).assign(refused="")
    except UserError as error:
        row = pd.DataFrame({"name": [called], "text": [""], "label": [""], "subset": [""]}, dtype=object)
        yield worded(row, words, config).assign(refused=str(error))
