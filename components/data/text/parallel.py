"""The text stage's work on Parquet files that are too many for one process: by Ray Data, on the cluster or its own.

Each file is read, judged and taken apart by the same function as on one machine; rows come back in the files' order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from components.cluster import joining
from components.data.dataset import TextConfig
from components.data.findings import Findings
from components.data.formats import text_files
from components.data.text.rows import worded
from components.data.text.words import Words
from components.errors import UserError

ROWS_AT_ONCE = 25_000


def worded_on_ray(folder: Path, files: Sequence[Path], config: TextConfig, section: str) -> Iterator[pd.DataFrame]:
    """Every row of the files below a folder with its words, as `worded` gives them, in order.

    On a cluster of several machines the files are on a disk that all of them share. Raises UserError as reading does.
    """
    columns = (config.text_column, config.label_column)
    text_files.check_parquet(files, columns, section)
    joining.connect()
    import ray  # after joining.connect, whose settings it reads when imported
    import ray.data

    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        ray.data.DataContext.get_current().execution_options.preserve_order = True
        named = [
            {"path": str(file.resolve()), "called": str(file.relative_to(folder)), "subset": subset}
            for file, subset in text_files.subsets_of(files, folder, section).items()
        ]
        work = partial(worded_file, columns=columns, section=section, config=config)
        done = ray.data.from_items(named, override_num_blocks=len(files)).map_batches(
            work, batch_size=1, batch_format="pandas"
        )
        for frame in done.iter_batches(batch_size=ROWS_AT_ONCE, batch_format="pandas"):
            for message in frame["refused"][frame["refused"] != ""]:
                raise UserError(message)
            yield frame
    finally:
        ray.shutdown()


def worded_file(
    files: pd.DataFrame, columns: Sequence[str], section: str, config: TextConfig
) -> Iterator[pd.DataFrame]:
    """The rows of the one file that the frame names, chunk by chunk, with their words.

    A file that cannot be read is a row with the message in `refused`: Ray would wrap the exception into its own.
    """
    words = Words(config.steps)
    (path,), (called,), (subset,) = files["path"], files["called"], files["subset"]
    try:
        for frame in text_files.table_frames(Path(path), called, columns, section, Findings(), subset):
            yield worded(frame, words, config).assign(refused="")
    except UserError as error:
        row = pd.DataFrame({"name": [called], "text": [""], "label": [""], "subset": [""]}, dtype=object)
        yield worded(row, words, config).assign(refused=str(error))
