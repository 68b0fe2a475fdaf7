"""What `preprocess` does with every kind of image files: read them, make them grey if asked, write the arrays."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.data.decoded import written
from components.data.formats.images import grey
from components.data.kind import Examples, ImagesConfig


def decode_files(
    read: Callable[[Any, Path, Path], Examples], config: ImagesConfig, raw: Path, folder: Path
) -> list[str]:
    """Write the examples of a data set of image files into an empty folder; what to say of them.

    read: (config, the raw folder, an empty scratch folder that is deleted later) → Examples.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        examples = read(config, raw, Path(scratch))
        if config.grey:
            examples = replace(examples, inputs=grey(examples.inputs))
        return written(examples, folder)
