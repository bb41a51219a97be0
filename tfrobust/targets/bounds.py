"""The scale of the pixels that a model takes: attacks work on [0, 1], models on what they were trained with."""

from typing import NamedTuple, Self

import numpy as np
import tensorflow as tf

from tfrobust.errors import InputError


class Bounds(NamedTuple):
    """The values of black and of white: (0, 1), (0, 255) for pixels as files hold them, (-1, 1) centered.

    Radii are on [0, 1] whatever the bounds: `linf(8/255)` changes pixels of 0-255 by 8.
    """

    low: float = 0.0
    high: float = 1.0

    def scale(self, images: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
        """Images in [0, 1], an array or a tensor, as the model takes them. Differentiable."""
        if self == UNIT:
            return images
        scaled = images * np.float32(self.high - self.low)
        return scaled + np.float32(self.low) if self.low else scaled

    def to_unit(self, images: np.ndarray) -> np.ndarray:
        """Images on this scale, float32, in [0, 1]."""
        return (images.astype("float32") - np.float32(self.low)) / np.float32(self.high - self.low)

    def __str__(self):
        return f"({self.low:g}, {self.high:g})"

    @classmethod
    def of(cls, given: tuple[float, float] | str | None) -> Self | None:
        """From a pair of numbers, or the text of one such as "0,255"; None stays None.

        Raises:
          InputError: for anything else, and for limits that are not in order.
        """
        if given is None:
            return None
        try:
            parts = given.split(",") if isinstance(given, str) else given
            low, high = (float(part) for part in parts)
        except (TypeError, ValueError) as error:
            raise InputError(f"bounds are two numbers such as (0, 255), got {given!r}") from error
        if not (np.isfinite([low, high]).all() and low < high):
            raise InputError(f"bounds are finite, the lower one first, such as (0, 255), got {given!r}")
        return cls(low, high)


UNIT = Bounds(0.0, 1.0)
PIXELS = Bounds(0.0, 255.0)
CENTERED = Bounds(-1.0, 1.0)


def how_to_give(bounds: Bounds) -> str:
    """What a user writes for a model of these bounds, for messages."""
    return f"give the target bounds={bounds} (flag --bounds={bounds.low:g},{bounds.high:g})"


def wrong_scale(name: str, evidence: str, bounds: Bounds) -> InputError:
    """The refusal of a model that does not take images in [0, 1] although no bounds say so."""
    return InputError(f"{name} does not take images in [0, 1]: {evidence}; {how_to_give(bounds)}")
