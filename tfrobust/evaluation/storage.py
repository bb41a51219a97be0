"""Large arrays of images: as small as they were given, or in a temporary file; and functions of them in parts."""

import pathlib
import tempfile
import weakref
from collections.abc import Callable, Iterator

import numpy as np

from tfrobust import data

_IN_MEMORY = 2**27  # bytes up to which an array stays in memory
_AT_ONCE = 2**24  # bytes of an array of floats that are looked at together


class CleanImages:
    """Images that stay in memory as they are, 8-bit ones in a quarter of the bytes; what is read of them is float32.

    Args:
      pixels: uint8, or float32 in [0, 1], [examples, height, width, channels].

    Attributes:
      pixels: as given.

    Example:
      >>> images = CleanImages(np.full([1000, 224, 224, 3], 51, "uint8"))
      >>> images[:2].dtype, float(images[999].max()), images.pixels.nbytes
      (dtype('float32'), 0.2, 150528000)
    """

    def __init__(self, pixels: np.ndarray):
        self.pixels = pixels

    @property
    def shape(self) -> tuple[int, ...]:
        """(examples, height, width, channels)."""
        return self.pixels.shape

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, rows) -> np.ndarray:
        """Some rows, a slice or numbers: float32 in [0, 1]."""
        return data.floats(self.pixels[rows])

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype)


class Images:
    """Images that begin as others and are changed row by row.

    Args:
      images: float32 [examples, height, width, channels], or what gives rows of such.
      in_memory: bytes up to which they stay in memory.

    Example:
      >>> kept = Images(clean)
      >>> kept.write(rows, adversarial)
      >>> kept[3]
    """

    def __init__(self, images: "np.ndarray | CleanImages", in_memory: int = _IN_MEMORY):
        if len(images) * images[:1].nbytes <= in_memory:
            self._kept: np.ndarray | pathlib.Path = np.array(images[:])
            return
        folder = tempfile.mkdtemp(prefix="tfrobust-")
        self._kept = path = pathlib.Path(folder, "images.npy")
        weakref.finalize(self, _remove, path)
        np.lib.format.open_memmap(path, mode="w+", dtype="float32", shape=images.shape)
        for rows in parts(images):
            self.write(rows, images[rows])

    def write(self, rows, images: np.ndarray) -> None:
        """Changes some rows."""
        self.array(writable=True)[rows] = images

    def __getitem__(self, rows) -> np.ndarray:
        """A copy of some rows, a slice or numbers; of a file nothing else stays in memory."""
        return np.array(self.array()[rows])

    def __len__(self):
        return len(self.array())

    def first(self, count: int) -> "Images":
        """The first so many of them: these, where that is all."""
        return self if count == len(self) else Images(self[:count])

    def array(self, writable: bool = False) -> np.ndarray:
        """All of them. What is read of a file is given back when the array is no longer used: do not keep it."""
        if isinstance(self._kept, np.ndarray):
            return self._kept
        return np.load(self._kept, mmap_mode="r+" if writable else "r")


def parts(images, multiple: int = 1) -> Iterator[slice]:
    """Slices of so many rows as may be in memory together, a multiple of some number of them."""
    rows = max(_AT_ONCE // max(images[:1].nbytes, 1) // multiple, 1) * multiple
    for start in range(0, len(images), rows):
        yield slice(start, start + rows)


def by_parts(function: Callable, *images) -> np.ndarray:
    """A function from rows of images to as many numbers, of all rows; a part at a time."""
    found = [function(*(some[rows] for some in images)) for rows in parts(images[0])]
    return np.concatenate(found) if found else np.asarray(function(*(some[:] for some in images)))


def by_rows(function: Callable, rows: np.ndarray, images, dtype: str) -> np.ndarray:
    """A function from the numbers of rows to as many values of a type, as many rows at a time as may be in memory."""
    found = [function(rows[part.start : part.stop]) for part in parts(images) if part.start < len(rows)]
    return np.concatenate([np.zeros(0, dtype), *found]).astype(dtype)


def _remove(path):
    path.unlink(missing_ok=True)
    path.parent.rmdir()
