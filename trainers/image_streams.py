"""Labeled images that are read and decoded while a network trains: files, TFDS records or arrays.

JPEG files are decoded by the accurate inverse transform, as Pillow does.
"""

import abc
import dataclasses
import functools
from typing import TYPE_CHECKING, Self

import numpy as np
import tensorflow as tf

import tfrobust as tfr

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

SHUFFLED = 8192  # records in memory from which the next one is drawn: about 1 GB of ImageNet


class ImageStream(abc.ABC):
    """Labeled images of any size.

    Attributes:
      classes: the number of classes.
    """

    classes: int

    @property
    @abc.abstractmethod
    def examples(self) -> int:
        """How many there are."""

    @abc.abstractmethod
    def in_order(self) -> tf.data.Dataset:
        """(what is stored, label) of all examples in order."""

    @abc.abstractmethod
    def shuffled(self, seed: int, epochs: range, examples: int) -> tf.data.Dataset:
        """The first `examples` of each of these epochs, in an order that follows from the seed and the epoch's number."""

    @abc.abstractmethod
    def decoded(self, stored: tf.Tensor) -> tf.Tensor:
        """The image of what is stored: uint8 [height, width, channels]."""

    @abc.abstractmethod
    def split_off(self, examples: int) -> tuple[Self, Self]:
        """Two streams, the second one of so many examples of all classes alike."""


@dataclasses.dataclass(frozen=True)
class ArrayStream(ImageStream):
    """A split that is in memory; gray images stay gray."""

    split: "tfr.data.Split"
    classes: int = dataclasses.field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "classes", self.split.classes)

    @property
    def examples(self):
        return len(self.split.labels)

    def in_order(self):
        return tf.data.Dataset.from_tensor_slices((self.split.images, self.split.labels))

    def shuffled(self, seed, epochs, examples):
        images, labels = tf.constant(self.split.images), tf.constant(self.split.labels)
        return _orders(self.examples, seed, epochs, examples).map(lambda index: (images[index], labels[index]))

    def decoded(self, stored):
        return stored if stored.dtype == tf.uint8 else tf.cast(tf.round(stored * 255), tf.uint8)

    def split_off(self, examples):
        kept, others = _chosen(self.examples, examples)
        return tuple(
            ArrayStream(self.split._replace(images=self.split.images[rows], labels=self.split.labels[rows]))
            for rows in (kept, others)
        )


@dataclasses.dataclass(frozen=True)
class FileStream(ImageStream):
    """Image files with their labels, decoded to red, green and blue.

    Attributes:
      paths: the files.
      labels: int64, one for each.
      classes: the number of classes.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    classes: int

    @property
    def examples(self):
        return len(self.paths)

    def in_order(self):
        files = tf.data.Dataset.from_tensor_slices((list(self.paths), np.asarray(self.labels, "int64")))
        return files.map(lambda path, label: (tf.io.read_file(path), label), tf.data.AUTOTUNE)

    def shuffled(self, seed, epochs, examples):
        paths, labels = tf.constant(list(self.paths)), tf.constant(np.asarray(self.labels, "int64"))

        def read(index):
            return tf.io.read_file(paths[index]), labels[index]

        return _orders(self.examples, seed, epochs, examples).map(read, tf.data.AUTOTUNE)

    def decoded(self, stored):
        return tfr.data.decode(stored, channels=3)

    def split_off(self, examples):
        return tuple(
            FileStream(tuple(self.paths[i] for i in rows), tuple(self.labels[i] for i in rows), self.classes)
            for rows in _chosen(self.examples, examples)
        )


@dataclasses.dataclass(frozen=True)
class RecordStream(ImageStream):
    """A part of a TFDS split, read record by record and decoded to red, green and blue.

    Attributes:
      builder: of TFDS.
      split: its name.
      first, last: which of its records, the last one excluded.
    """

    builder: "tfds.core.DatasetBuilder"
    split: str
    first: int
    last: int
    classes: int = dataclasses.field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "classes", self.builder.info.features["label"].num_classes)

    @property
    def examples(self):
        return self.last - self.first

    def in_order(self):
        import tensorflow_datasets as tfds

        records = self.builder.as_dataset(
            split=f"{self.split}[{self.first}:{self.last}]",
            decoders={"image": tfds.decode.SkipDecoding()},
            shuffle_files=False,
        )
        return records.map(lambda record: (record["image"], record["label"]))

    def shuffled(self, seed, epochs, examples):
        """Records are stored in random order; what is drawn from are the next `SHUFFLED`."""
        records, drawn_from = self.in_order(), min(SHUFFLED, self.examples)
        seeds = [int(np.random.default_rng([seed, epoch]).integers(2**31)) for epoch in epochs]
        orders = [
            records.shuffle(drawn_from, seed=drawn, reshuffle_each_iteration=False).take(examples) for drawn in seeds
        ]
        return functools.reduce(tf.data.Dataset.concatenate, orders, records.take(0))

    def decoded(self, stored):
        return tfr.data.decode(stored, channels=3)

    def split_off(self, examples):
        middle = self.last - examples
        return dataclasses.replace(self, last=middle), dataclasses.replace(self, first=middle)


def _orders(count, seed, epochs, examples):
    """The first `examples` numbers below `count` in a new order for each epoch."""

    def order(epoch):
        indices = tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), [seed, epoch])
        return tf.data.Dataset.from_tensor_slices(indices[:examples])

    return tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(order)


def _chosen(examples, others):
    """Rows of two parts, the second one spread evenly, so that every class of a sorted list has its share."""
    chosen = np.zeros(examples, bool)
    chosen[(np.arange(others) * examples) // max(1, others) + examples // max(1, 2 * others)] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
