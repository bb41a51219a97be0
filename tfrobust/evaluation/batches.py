"""Batches of one size, and those that are finished: kept, they let a stopped evaluation go on where it was."""

import hashlib
import io
import pathlib
import zipfile
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tfrobust import files


def padded(batch_size: int, *arrays: np.ndarray) -> Iterator[tuple]:
    """Slices of one size; the last is filled up with its first row. Yields (slice of each array..., real rows)."""
    for start in range(0, len(arrays[0]), batch_size):
        slices = [array[start : start + batch_size] for array in arrays]
        count = len(slices[0])
        fill = [0] * (batch_size - count)
        yield *(np.concatenate([rows, rows[fill]]) if fill else rows for rows in slices), count


class FinishedBatches:
    """Arrays of each batch that was computed, by its number. Each file appears whole, by a rename.

    Args:
      folder: where they are kept, or None to keep nothing.
      identity: values that decide the result, such as the attack, the seed and the images: others' batches are not
        taken for one's own.
    """

    def __init__(self, folder, *identity):
        self.folder = None if folder is None else pathlib.Path(folder)
        strategy = tf.distribute.get_strategy()
        self._devices = strategy.num_replicas_in_sync
        self._sum = tf.function(
            lambda number: strategy.reduce("SUM", strategy.run(tf.identity, args=(number,)), axis=None), autograph=False
        )
        self.prefix = hashlib.sha256("".join(map(_text, identity)).encode()).hexdigest()[:16]

    def get(self, number: int, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The dict of arrays that `compute()` gave for this batch, now or in an earlier run."""
        if self.folder is None:
            return compute()
        path = self.folder / f"{self.prefix}-{number}.npz"
        arrays = _read(path)
        if not self._everywhere(arrays is not None):
            arrays = compute()
            with files.written(path) as temporary:
                np.savez(temporary, **arrays)
        return arrays

    def _everywhere(self, condition):
        """Whether it holds for all workers of a strategy: they compute a batch together or not at all."""
        return int(self._sum(tf.constant(float(condition)))) == self._devices


def _read(path):
    """The arrays of a file, or None if it is missing or damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def _text(value):
    return hashlib.sha256(value.tobytes()).hexdigest() if isinstance(value, np.ndarray) else f"{value!r};"
