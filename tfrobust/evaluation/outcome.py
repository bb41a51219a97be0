"""What one attack did to a model: the arrays from which everything in a report is computed."""

import dataclasses

import numpy as np

from tfrobust import balls
from tfrobust.attacks import Attack
from tfrobust.evaluation import pixels, storage
from tfrobust.evaluation.predictor import Votes
from tfrobust.evaluation.prepare import Examples
from tfrobust.evaluation.storage import Images
from tfrobust.evaluation.traces import Curves


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one attack did.

    Attributes:
      name: the attack as it was asked for.
      attack: the attack itself.
      source: the name of the surrogate that it was made on, or None.
      examples: what was attacked.
      images: what the attack made, in memory or, of many large ones, on disk: see `adversarial`.
      votes: predictions recomputed at `adversarial`, of attacked examples; several of a random model.
      fools: bool [examples]: attacked, and the valid image at any distance changes the prediction.
      broken, broken_uint8: bool [examples], by the rule of `judge`, of `adversarial` and of `rounded`.
      invalid: how many adversarial images broke the prediction but were outside the ball or [0, 1], or not finite.
      goals: int [examples], the answers that the attack wanted, or None.
      trace: how the attack came to that, by its own account, of the attacked examples; None if there are none.
      queries, backward_passes: forward and backward passes through the model per attacked example.
      seconds: wall time of the attack, compilation included.
      batch_size: how many examples were to be computed together, None where nobody said.
    """

    name: str
    attack: Attack
    source: str | None
    examples: Examples
    images: Images
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
    batch_size: int | None = None

    @property
    def adversarial(self) -> np.ndarray:
        """float32 [examples, ...]; the clean image where it was not attacked. Many large ones are read from disk."""
        return self.images.array()

    @property
    def rounded(self) -> np.ndarray:
        """`adversarial` in 8 bits, inside the ball; the clean image where that is not possible."""
        return self.rounded_rows(slice(None))

    def rounded_rows(self, rows: slice) -> np.ndarray:
        """Some rows of `rounded`."""
        images, _, attacked = self.examples
        return pixels.in_8_bits(self.images[rows], images[rows], attacked[rows], self.ball)[0]

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
        return self.sizes(norm, np.flatnonzero(self.hit))

    def lies_in(self, ball: balls.Ball, rows: np.ndarray) -> np.ndarray:
        """Which of some examples' images lie in a ball, int [rows] -> bool [rows]."""
        adversarial, images = self.images, self.examples.images

        def inside(some):
            return pixels.in_ball(adversarial[some] - images[some], ball)

        return storage.by_rows(inside, rows, images, "bool")

    def sizes(self, norm: type[balls.Ball], rows: np.ndarray | None = None) -> np.ndarray:
        """How far the adversarial images of some examples, int [rows], or of all are from the clean ones: float32 [rows]."""
        adversarial, images = self.images, self.examples.images

        def size(some):
            change = adversarial[some] - images[some]
            moved = change.reshape(len(change), -1).any(axis=1)  # L2 of nothing is not exactly 0
            return np.where(moved, norm.size(change), 0)

        return storage.by_rows(size, np.arange(len(images)) if rows is None else rows, images, "float32")
