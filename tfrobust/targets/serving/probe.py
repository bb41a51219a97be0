"""What an endpoint's answers are like, found out on a few images before it is attacked."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

IMAGES = 20
_FLOAT32 = 1e-7  # relative rounding of a score on its way
_SHARP = 40.0  # roundings that a step must be larger than, to be one
_NEAR, _ENOUGH = 20.5, 10  # steps between neighboring scores that are looked at, and how many there must be


class Probe(NamedTuple):
    """What was found.

    Attributes:
      images: how many were asked about, three times.
      asked_again: the largest change of a score when the same request is made again, as a share of the scores' spread; of
        labels, the share that changed.
      other_batch: likewise, between one request for all and one for each.
      step: scores are multiples of it; None where they are not rounded, or labels.
    """

    images: int
    asked_again: float
    other_batch: float
    step: float | None

    @property
    def repeats(self) -> bool:
        """Whether the same request gets the same answer, but for the rounding of kernels."""
        return self.asked_again <= 1e-4


def probe(ask: Callable[[int, int], np.ndarray], images: int) -> Probe:
    """Asks about the same images three times.

    Args:
      ask: from a pass's number and how many images there are in a request to answers, scores [images, classes] or labels
        [images].
      images: how many there are.
    """
    first, again, alone = ask(0, images), ask(1, images), ask(2, 1)
    return Probe(images, _change(first, again), _change(first, alone), step_of(first))


def _change(first, other):
    if first.ndim == 1 and np.issubdtype(first.dtype, np.integer):
        return float((first != other).mean())
    spread = max(float(np.ptp(first.astype("float64"))), 1e-30)
    return float(np.abs(first.astype("float64") - other).max()) / spread


def step_of(scores: np.ndarray) -> float | None:
    """The step of which all differences between scores are multiples, as 0.001 of three decimals; None without one."""
    if np.issubdtype(scores.dtype, np.integer):
        return None
    values = np.unique(scores.astype("float64"))
    rounding = _FLOAT32 * max(np.abs(values).max(), 1e-30)
    gaps = np.diff(values)
    gaps = gaps[gaps > 2.0 * rounding]
    if not len(gaps) or gaps.min() < _SHARP * rounding:
        return None
    near = gaps[gaps <= _NEAR * gaps.min()]
    steps = np.round(near / gaps.min())
    step = float(near.sum() / steps.sum())
    agree = np.abs(near - steps * step) <= 4.0 * rounding
    return step if len(near) >= _ENOUGH and agree.all() else None
