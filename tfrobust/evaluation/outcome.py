"""What one attack did to a model: the arrays from which everything in a report is computed."""

import dataclasses

import numpy as np

from tfrobust import balls
from tfrobust.attacks import Attack
from tfrobust.evaluation.predictor import Votes
from tfrobust.evaluation.prepare import Examples
from tfrobust.evaluation.traces import Curves

_AT_ONCE = 100  # images, so that no second set of large ones is made


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one attack did.

    Attributes:
      name: the attack as it was asked for.
      attack: the attack itself.
      source: the name of the surrogate that it was made on, or None.
      examples: what was attacked.
      adversarial: float32 [examples, ...]; the clean image where it was not attacked.
      rounded: the same in 8 bits, inside the ball; the clean image where that is not possible.
      votes: predictions recomputed at `adversarial`, of attacked examples; several of a random model.
      fools: bool [examples]: attacked, and the valid image at any distance changes the prediction.
      broken, broken_uint8: bool [examples], by the rule of `judge`, of `adversarial` and of `rounded`.
      invalid: how many adversarial images broke the prediction but were outside the ball or [0, 1], or not finite.
      goals: int [examples], the answers that the attack wanted, or None.
      trace: how the attack came to that, by its own account, of the attacked examples; None if there are none.
      queries, backward_passes: forward and backward passes through the model per attacked example.
      seconds: wall time of the attack, compilation included.
    """

    name: str
    attack: Attack
    source: str | None
    examples: Examples
    adversarial: np.ndarray
    rounded: np.ndarray
    votes: Votes
    fools: np.ndarray
    broken: np.ndarray
    broken_uint8: np.ndarray
    invalid: int
    goals: np.ndarray | None
    trace: Curves | None
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

    @property
    def tried(self) -> np.ndarray:
        """bool [examples]: those that could be attacked: a label that is the goal cannot."""
        attacked = self.examples.attacked
        return attacked if self.goals is None else attacked & (self.goals != self.examples.labels)

    @property
    def reached(self) -> np.ndarray | None:
        """bool [examples]: those whose prediction is the goal, or None without goals."""
        return None if self.goals is None else self.hit & self.votes.most(self.votes.drawn == self.goals)

    @property
    def predictions(self) -> np.ndarray:
        """int [examples], recomputed at `adversarial`; below 0 where there is none."""
        return self.votes.predictions()

    def standing(self, broken: np.ndarray) -> float | None:
        """The share of `broken` false, of the examples that could be attacked or are misclassified; None of none."""
        counted = self.tried | ~self.examples.attacked
        return float((~broken[counted]).mean()) if counted.any() else None

    def distances(self, norm: type[balls.Ball]) -> np.ndarray:
        """How large the perturbations are that broke something, float32 [hits]."""
        return np.asarray(norm.size(self.adversarial[self.hit] - self.examples.images[self.hit]))

    def sizes(self, norm: type[balls.Ball]) -> np.ndarray:
        """How far each adversarial image is from its clean image, float32 [examples], computed a few images at a time."""
        found = []
        for start in range(0, len(self.adversarial), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            change = self.adversarial[part] - self.examples.images[part]
            moved = change.reshape(len(change), -1).any(axis=1)  # L2 of nothing is not exactly 0
            found.append(np.where(moved, norm.size(change), 0))
        return np.concatenate(found).astype("float32")
