"""Images and labels in .npz files, under the names that people give them."""

import pathlib
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from tfrobust.data import given
from tfrobust.data.split import Split
from tfrobust.errors import InputError

_Taken = TypeVar("_Taken")
# Of a file's names in small letters; {} is the split. Those of a split come before those of any.
_NAMES = (
    ("x_{}", "y_{}"),
    ("{}_x", "{}_y"),
    ("images_{}", "labels_{}"),
    ("{}_images", "{}_labels"),
    ("images", "labels"),
    ("image", "label"),
    ("x", "y"),
)


def load(
    path,
    split: str,
    examples: int | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    shard: tuple[int, int] = (0, 1),
) -> Split:
    """Reads the images and labels of an .npz file: see `given.arrays` for what they may be.

    Args:
      path: of the file. Its arrays are called images and labels, x and y, or those names with the split, as in Keras' own
        mnist.npz: x_train, y_train, x_test, y_test. Other arrays of a value for each image, such as camera, or camera_test where
        the split's name is in those of the images, are the columns of the split.
      split: whose arrays are taken where a file holds several; otherwise it does not matter.
      examples: take only the first so many; None: all.
      bounds: floats on this scale are taken too.
      shard: see `sources.load`.

    Raises:
      InputError: if it cannot be read or holds something else.
    """
    images, labels, columns = _opened(path, lambda arrays: _of_split(path, arrays, split))
    classes = labels
    if len(images.shape) and len(labels.shape) and len(images) == len(labels):
        images, labels = images[:examples], labels[:examples]
    try:
        images, labels = given.arrays(
            images, labels, bounds=bounds
        )  # of all shards alike: what they are shows in all images
        classes = given.class_numbers(classes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    columns = {name: values[: len(labels)] for name, values in columns.items()}
    return Split(images, labels, int(classes.max()) + 1, columns).shard(*shard)


def read_arrays(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, name -> array.

    Raises:
      InputError: if there is no such file or it is not a sound archive of arrays.
    """
    return _opened(path, dict)


def _opened(path, take: Callable[[np.lib.npyio.NpzFile], _Taken]) -> _Taken:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return take(arrays)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except Exception as error:  # NumPy raises half a dozen kinds for a damaged archive
        raise InputError(f"{path} is not a readable .npz file: {error}") from error


def _of_split(path, arrays, split) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """The images and labels of a split, and what else has a value for each of them: name -> array."""
    images, labels = _names(path, arrays.files, split)
    found, columns = (arrays[images], arrays[labels]), {}
    for name in arrays.files:
        mine = name.lower().removesuffix(f"_{split}").removeprefix(f"{split}_")
        if name not in (images, labels) and (mine != name.lower()) == (split in images.lower()):
            values = arrays[name]
            if values.ndim == 1 and found[1].ndim and len(values) == len(found[1]):
                columns[mine] = values
    return *found, columns


def _names(path, held, split) -> tuple[str, str]:
    """What the images and the labels of a split are called in a file."""
    small = {name.lower(): name for name in held}
    for pair in _NAMES:
        images, labels = (name.format(split.lower()) for name in pair)
        if images in small and labels in small:
            return small[images], small[labels]
    message = f"{path} must hold the arrays images and labels, or x_{split} and y_{split}, it holds {sorted(held)}"
    raise InputError(message)
