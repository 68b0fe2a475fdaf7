"""The convolution of the course notes and of CNNs: "valid", and the kernel is not flipped."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike


def convolve_1d(values: ArrayLike, kernel: ArrayLike) -> np.ndarray:
    """The sums of `kernel` times each run of values as long as itself: len(values) - len(kernel) + 1 numbers."""
    return _convolve(values, kernel, 1)


def convolve_2d(image: ArrayLike, kernel: ArrayLike) -> np.ndarray:
    """The same for each part of an image (H, W) as large as the kernel (h, w): (H - h + 1, W - w + 1)."""
    return _convolve(image, kernel, 2)


def _convolve(values: ArrayLike, kernel: ArrayLike, rank: int) -> np.ndarray:
    """Slides the kernel along each of `rank` axes; raises ValueError where it has no place."""
    long, short = np.asarray(values), np.asarray(kernel)
    for name, array in (("input", long), ("kernel", short)):
        if array.ndim != rank:
            raise ValueError(
                f"The {name} of a {rank}-D convolution has {rank} {'axis' if rank == 1 else 'axes'}, not {array.ndim}."
            )
        if not array.size:
            raise ValueError(f"The {name} of a {rank}-D convolution is empty.")
    if any(own > room for own, room in zip(short.shape, long.shape, strict=True)):
        raise ValueError(f"The kernel, {_size(short)}, is longer than the input, {_size(long)}.")
    wide = np.result_type(long, short, np.int64)  # else the sums of uint8 pixels overflow
    windows = sliding_window_view(long.astype(wide), short.shape)
    return np.asarray(np.tensordot(windows, short.astype(wide), axes=rank))


def _size(array: np.ndarray) -> str:
    return " x ".join(map(str, array.shape))
