"""Images and labels in memory."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from tfrobust.errors import EmptyShardError


class Split(NamedTuple):
    """One split of a data set, in memory.

    Attributes:
      images: uint8 [examples, height, width, channels], or float32 in [0, 1] where a user's own images are floats.
      labels: int64 [examples].
      classes: the number of classes.
      columns: by name, what else is known of each example, such as the camera: values [examples].
    """

    images: np.ndarray
    labels: np.ndarray
    classes: int
    columns: Mapping[str, np.ndarray] = MappingProxyType({})

    def take(self, examples: int | None) -> "Split":
        """The first `examples` examples; all of them if `examples` is None."""
        return self.at(slice(examples))

    def drop(self, examples: int | None) -> "Split":
        """All but the first `examples` examples."""
        return self.at(slice(examples, None))

    def at(self, rows: slice) -> "Split":
        """Some of the examples."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Split(self.images[rows], self.labels[rows], self.classes, columns)

    def shard(self, index: int, count: int) -> "Split":
        """Every count-th example, from one on.

        Raises:
          EmptyShardError: if there are none.
        """
        return self.at(rows_of((index, count), len(self.labels)))

    def floats(self, rows: slice | np.ndarray | None = None) -> np.ndarray:
        """The images as float32 in [0, 1]; a large set takes four times the memory so: give `rows`, a slice or indices."""
        return floats(self.images if rows is None else self.images[rows])

    def mean_image(self) -> np.ndarray:
        """The mean of all images, float64 [height, width, channels] in [0, 1]."""
        return self.images.mean(axis=0, dtype="float64") / (255 if self.images.dtype == np.uint8 else 1)


def rows_of(shard: tuple[int, int], examples: int) -> slice:
    """The rows of a shard (index, count) of so many examples.

    Raises:
      EmptyShardError: if there are none.
    """
    index, count = shard
    if index >= examples:
        raise EmptyShardError(f"shard {index} of {count} has none of the {examples} examples")
    return slice(index, examples, count)


def floats(images: np.ndarray) -> np.ndarray:
    """float32 in [0, 1] of uint8 images; float32 images as they are."""
    if images.dtype != np.uint8:
        return images
    return np.divide(images, np.float32(255), dtype="float32")  # without a second array of floats
