"""Large arrays of images: in a temporary file, of which only what is looked at is in memory; and functions of them in parts."""

import pathlib
import tempfile
import weakref
from collections.abc import Callable, Iterator

import numpy as np

_IN_MEMORY = 2**27  # bytes up to which an array stays in memory
_AT_ONCE = 2**26  # bytes of an array that are looked at together


class Images:
    """Images that begin as others and are changed row by row.

    Args:
      images: float32 [examples, height, width, channels].
      in_memory: bytes up to which they stay in memory.

    Example:
      >>> kept = Images(clean)
      >>> kept.write(rows, adversarial)
      >>> kept.array()[3]
    """

    def __init__(self, images: np.ndarray, in_memory: int = _IN_MEMORY):
        self._array, self._path = None, None
        if images.nbytes <= in_memory:
            self._array = images.copy()
            return
        folder = tempfile.mkdtemp(prefix="tfrobust-")
        self._path = pathlib.Path(folder, "images.npy")
        weakref.finalize(self, _remove, self._path)
        whole = np.lib.format.open_memmap(self._path, mode="w+", dtype=images.dtype, shape=images.shape)
        for rows in parts(images):
            whole[rows] = images[rows]

    def write(self, rows, images: np.ndarray) -> None:
        """Changes some rows."""
        self.array(writable=True)[rows] = images

    def array(self, writable: bool = False) -> np.ndarray:
        """All of them. What is read of a file is given back when the array is no longer used: do not keep it."""
        return self._array if self._path is None else np.load(self._path, mmap_mode="r+" if writable else "r")


def parts(images: np.ndarray, multiple: int = 1) -> Iterator[slice]:
    """Slices of so many rows as may be in memory together, a multiple of some number of them."""
    rows = max(_AT_ONCE // max(images[:1].nbytes, 1) // multiple, 1) * multiple
    for start in range(0, len(images), rows):
        yield slice(start, start + rows)


def by_parts(function: Callable, *arrays: np.ndarray) -> np.ndarray:
    """A function from rows of arrays to as many numbers, of all rows; a part at a time."""
    found = [function(*(array[rows] for array in arrays)) for rows in parts(arrays[0])]
    return np.concatenate(found) if found else np.asarray(function(*arrays))


def by_rows(function: Callable, rows: np.ndarray, images: np.ndarray, dtype: str) -> np.ndarray:
    """A function from the numbers of rows to as many values of a type, as many rows at a time as may be in memory."""
    found = [function(rows[part.start : part.stop]) for part in parts(images[: len(rows)])]
    return np.concatenate([np.zeros(0, dtype), *found]).astype(dtype)


def _remove(path):
    path.unlink(missing_ok=True)
    path.parent.rmdir()
