"""What a training reads: training batches epoch by epoch, and batches in order."""

import abc
import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import tfrobust as tfr
from trainers.config import TrainingConfig

if TYPE_CHECKING:  # `--help` does not wait for them
    import tensorflow as tf


class Feed(abc.ABC):
    """Examples that a training reads, from wherever they are."""

    @property
    @abc.abstractmethod
    def examples(self) -> int:
        """How many there are."""

    @property
    @abc.abstractmethod
    def batch_size(self) -> int:
        """How many are classified at a time."""

    @abc.abstractmethod
    def training(self, config: TrainingConfig, first_epoch: int) -> "tf.data.Dataset":
        """Full batches of (float32 images in [0, 1], labels) from an epoch on, each epoch in an order of its own.

        A run that starts at `first_epoch` sees what an uninterrupted one would see from there on.
        """

    @abc.abstractmethod
    def batches(self) -> "tf.data.Dataset":
        """All examples once, in order: batches of (float32 images in [0, 1], labels)."""


@dataclasses.dataclass(frozen=True)
class SplitFeed(Feed):
    """A split that is in memory."""

    split: "tfr.data.Split"
    batch_size: int = 200

    @property
    def examples(self):
        return len(self.split.labels)

    def training(self, config, first_epoch):
        return tfr.data.training_batches(
            self.split,
            config.batch_size,
            seed=config.seed,
            epochs=config.epochs,
            first_epoch=first_epoch,
            augmentation=tfr.data.pad_crop_flip if config.augment else None,
        )

    def batches(self):
        return tfr.data.batches(self.split, self.batch_size)


class Feeds(NamedTuple):
    """The data of a training.

    Attributes:
      train, validation, test: what is fitted, watched and measured.
      sample: images and the number of classes that the network is made for; a mean image is taken of them.
    """

    train: Feed
    validation: Feed
    test: Feed
    sample: "tfr.data.Split"


def as_feed(examples: "Feed | tfr.data.Split") -> Feed:
    """A feed, of a split too."""
    return examples if isinstance(examples, Feed) else SplitFeed(examples)
