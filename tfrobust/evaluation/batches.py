"""Batches of one size, and those that are finished: kept, they let a stopped evaluation go on where it was."""

import hashlib
import io
import math
import pathlib
import zipfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfrobust import files

_SHOWN = 2**24  # bytes of images, as floats, in a batch


def default_size(image_shape: Sequence[int], most: int = 100) -> int:
    """How many images are computed together where nobody says: `most`, or as many as are 16 MiB of floats.

    A network's activations and their gradients are a hundred times its images and more.

    Example:
      >>> default_size((32, 32, 3)), default_size((224, 224, 3))
      (100, 27)
    """
    return max(min(most, _SHOWN // (4 * math.prod(image_shape))), 1)


def padded(batch_size: int, *arrays: np.ndarray) -> Iterator[tuple]:
    """Slices of one size; the last is filled up with its first row. Yields (slice of each array..., real rows)."""
    for start in range(0, len(arrays[0]), batch_size):
        slices = [array[start : start + batch_size] for array in arrays]
        count = len(slices[0])
        fill = [0] * (batch_size - count)
        yield *(np.concatenate([rows, rows[fill]]) if fill else rows for rows in slices), count


class FinishedBatches:
    """Arrays of each batch that was computed, found again by all that decides it. Each file appears whole, by a rename.

    Args:
      folder: where they are kept, or None to keep nothing.
      identity: what decides the result beside the batch's own arrays; None if that cannot be said: nothing is kept.
    """

    def __init__(self, folder, identity: str | None = None):
        self.folder, self._identity = pathlib.Path(folder) if folder and identity else None, identity
        strategy = tf.distribute.get_strategy()
        self._devices = strategy.num_replicas_in_sync
        self._sum = tf.function(
            lambda number: strategy.reduce("SUM", strategy.run(tf.identity, args=(number,)), axis=None), autograph=False
        )

    def get(self, batch: Sequence, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The dict of arrays that `compute()` gave for a batch of such arrays, now or in an earlier run."""
        if self.folder is None or self._identity is None:
            return compute()
        digest = hashlib.sha256(self._identity.encode())
        for array in map(np.ascontiguousarray, batch):
            digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
        path = self.folder / f"{digest.hexdigest()[:32]}.npz"
        arrays = _read(path)
        if not self._everywhere(arrays is not None):
            arrays = compute()
            with files.written(path) as temporary:
                np.savez(temporary, **arrays)  # type: ignore[arg-type]  # none is called allow_pickle
        return arrays

    def _everywhere(self, condition):
        """Whether it holds for all workers of a strategy: they compute a batch together or not at all."""
        return condition if self._devices == 1 else int(self._sum(tf.constant(float(condition)))) == self._devices


def _read(path):
    """The arrays of a file, or None if it is missing or damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
