"""What one attack did to a model: the arrays from which everything in a report is computed."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfrobust import balls
from tfrobust.attacks import Attack
from tfrobust.evaluation.prepare import Examples


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one attack did.

    Attributes:
      name: the attack as it was asked for.
      attack: the attack itself.
      source: the name of the surrogate that it was made on, or None.
      examples: what was attacked.
      adversarial: float32 [examples, ...]; the clean image where it was not attacked.
      predictions: int [examples], recomputed at `adversarial`.
      broken, broken_uint8: bool [examples], by the rule of `judge`, before and after rounding to 8 bits.
      invalid: how many adversarial images broke the prediction but were outside the ball or [0, 1], or not finite.
      queries, backward_passes: forward and backward passes through the model per attacked example.
      seconds: wall time of the attack, compilation included.
    """

    name: str
    attack: Attack
    source: str | None
    examples: Examples
    adversarial: np.ndarray
    predictions: np.ndarray
    broken: np.ndarray
    broken_uint8: np.ndarray
    invalid: int
    queries: float | None
    backward_passes: float | None
    seconds: float

    @property
    def ball(self) -> balls.Ball | None:
        """What perturbations were confined to, or None."""
        return self.attack.ball

    @property
    def hit(self) -> np.ndarray:
        """bool [examples]: those that the attack itself broke."""
        return self.broken & self.examples.attacked

    def distances(self, norm: type[balls.Ball]) -> np.ndarray:
        """How large the perturbations are that broke something, float32 [hits]."""
        return np.asarray(norm.size(self.adversarial[self.hit] - self.examples.images[self.hit]))


def worst_case(outcomes: Sequence[Outcome], examples: Examples) -> float | None:
    """The share of examples that survives all bounded attacks; a minimal-norm attack breaks everything."""
    bounded = [outcome for outcome in outcomes if outcome.ball is not None]
    survivors = np.logical_and.reduce([examples.attacked, *(~outcome.broken for outcome in bounded)])
    return float(survivors.mean()) if bounded else None
