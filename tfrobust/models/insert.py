"""What may be inserted between the layers of a network: masks and their like, one value that a builder takes.

A network has numbered blocks: 0 is the stem, the others are its stages. The first of them are shallow, the others deep,
as each family says. A builder asks `Blocks` after each layer whose output may be changed:

    x = blocks.after(convolution(x, blocks.channels(width, block), ...), block, name)
"""

import abc
import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike

from tfrobust.errors import InputError
from tfrobust.layers import Placement, Standardize


class Place(NamedTuple):
    """A place in a network where something may be inserted.

    Attributes:
      block: the number of the block that it is in.
      group: "shallow" or "deep", what the family counts the block among.
      name: of the layer before it; empty where the whole block is meant.
    """

    block: int
    group: str
    name: str


class Insert(abc.ABC):
    """What is inserted, and where. If it has a text, `str(insert)`, the model keeps that.

    Example:
      >>> @dataclasses.dataclass(frozen=True)
      ... class Noise(Insert):
      ...     def layers(self, place):
      ...         return [keras.layers.GaussianNoise(0.1, name=f"{place.name}_noise")]
      >>> models.resnet18(insert=Noise())
    """

    @abc.abstractmethod
    def layers(self, place: Place) -> Sequence[keras.Layer]:
        """The layers to put at a place, the first right after the layer that the place is named after."""

    def opening(self) -> Sequence[keras.Layer]:
        """The layers to put behind the preprocessing, before the first block."""
        return ()

    def channels(self, channels: int, place: Place) -> int:
        """How many channels a layer has in a block, of those it would have otherwise."""
        return channels

    def named_blocks(self) -> Sequence[int | str]:
        """The blocks that it names: numbers, "shallow" or "deep". A network must have them."""
        return ()

    def __str__(self):
        return ""


class Nothing(Insert):
    """Inserts nothing."""

    def layers(self, place: Place) -> Sequence[keras.Layer]:
        return ()


NOTHING = Nothing()


@dataclasses.dataclass(frozen=True)
class Blocks:
    """What is inserted, in one family of networks: what its builder asks while it adds layers.

    Attributes:
      insert: what is inserted.
      shallow, deep: the numbers of the family's shallow and deep blocks.

    Raises:
      InputError: for a block that the family does not have.
    """

    insert: Insert
    shallow: tuple[int, ...] = ()
    deep: tuple[int, ...] = ()

    def __post_init__(self):
        groups = [name for name, blocks in (("shallow", self.shallow), ("deep", self.deep)) if blocks]
        known = [*groups, *self.shallow, *self.deep]
        for block in self.insert.named_blocks():
            if block not in known:
                blocks = f"the blocks {', '.join(map(str, known))}" if known else "no blocks that could be masked"
                raise InputError(f"masks: this network has {blocks}; there is no block {block}")

    def opening(
        self, input_shape: tuple[int, int, int], mean: ArrayLike, std: ArrayLike
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """How every network begins: its images, and what the first block takes; the text of the insert is kept."""
        images = keras.Input(input_shape, name="image")
        mean, std = (_for_channels(values, input_shape[-1]) for values in (mean, std))
        x = Standardize(mean, std, name="preprocessing")(images)
        for layer in self.insert.opening():
            x = layer(x)
        text = str(self.insert)
        return images, Placement(text)(x) if text else x

    def channels(self, channels: int, block: int) -> int:
        """How many channels a layer of `channels` has in this block."""
        return self.insert.channels(channels, self._place(block, ""))

    def after(self, x: keras.KerasTensor, block: int, name: str) -> keras.KerasTensor:
        """A layer's output, through what is inserted after it."""
        for layer in self.insert.layers(self._place(block, name)):
            x = layer(x)
        return x

    def _place(self, block, name):
        return Place(block, "shallow" if block in self.shallow else "deep", name)


def _for_channels(values, channels):
    """What a network has for red, green and blue; for gray images their mean."""
    return np.mean(values) if channels == 1 and np.shape(values) == (3,) else values
