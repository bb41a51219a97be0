"""A model's answers for many images, and its predictions: one draw of a fixed model, several of a random one."""

from typing import NamedTuple, Self

import numpy as np

from tfrobust.evaluation import batches, devices, metrics
from tfrobust.targets import Target

NAN = -1  # the prediction where an answer is NaN: no class, so neither right nor fooled
MISSING = -2  # no draw was needed
_FIRST = 20  # draws, after which those are done that are decided


class Votes(NamedTuple):
    """Predictions of one or several draws.

    Attributes:
      drawn: int [draws, examples]: a class, NAN, or MISSING where fewer draws decided.
    """

    drawn: np.ndarray

    @classmethod
    def none_of(cls, examples: int, draws: int) -> Self:
        """No draw of any example yet."""
        return cls(np.full([draws, examples], MISSING))

    @property
    def random(self) -> bool:
        """Whether there are several draws."""
        return len(self.drawn) > 1

    def predictions(self) -> np.ndarray:
        """int [examples]: the class of most draws; NAN where most answers are NaN."""
        classes = range(NAN, max(int(self.drawn.max(initial=NAN)), NAN) + 1)
        counts = np.stack([(self.drawn == label).sum(axis=0) for label in classes])
        return counts.argmax(axis=0) + NAN

    def wrong(self, labels: np.ndarray) -> np.ndarray:
        """bool [draws, examples]: draws that give another class than the label."""
        return (self.drawn != labels) & (self.drawn > NAN)

    def tally(self, hit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The share of draws that hit, bool [draws, examples], and how many draws there are: [examples] each."""
        made = self.drawn != MISSING
        draws = np.maximum(made.sum(axis=0), 1)
        return (hit & made).sum(axis=0) / draws, draws

    def most(self, hit: np.ndarray) -> np.ndarray:
        """bool [examples]: where most draws hit, beyond chance: the 95 % interval of their share lies above a half."""
        return metrics.wilson_interval(*self.tally(hit))[0] > 0.5 if self.random else hit[0]

    def more_wrong(self, labels: np.ndarray, clean: "Votes") -> np.ndarray:
        """bool [examples]: where most draws are wrong, and more often than at the clean image, both beyond chance."""
        wrong = self.wrong(labels)
        if not self.random:
            return wrong[0]
        shares = [(votes.tally(votes.wrong(labels))) for votes in (self, clean)]
        (share, draws), (before, before_draws) = shares
        spread = np.sqrt(share * (1 - share) / draws + before * (1 - before) / before_draws)
        return self.most(wrong) & (share - before > metrics.NORMAL_95 * spread)


class Predictor:
    """Answers in batches of one fixed size, so that nothing compiles twice, each on all devices of the current strategy.

    Attributes:
      name: the target's.
      batch_size: images at a time.
      draws: 1, or of a model that answers differently each time, how often it is asked about an image at most.
    """

    def __init__(self, target: Target, batch_size: int, draws: int = 1):
        self.name, self.batch_size, self.draws = target.name, batch_size, draws
        alone = target.predictor()
        self._predict = devices.shared(target.logits, alone) if target.in_graph else alone

    def answers(self, images, rows: np.ndarray | None = None) -> np.ndarray:
        """float32 logits [rows, classes], or int labels [rows] of a target that gives no more.

        Args:
          images: float32 [examples, height, width, channels], or what gives rows of such.
          rows: int [rows], which of them; None: all.
        """
        rows = np.arange(len(images)) if rows is None else rows
        return np.concatenate(
            [np.asarray(self._predict(images[some]))[:count] for some, count in batches.padded(self.batch_size, rows)]
        )

    def predictions(self, images, rows: np.ndarray | None = None) -> np.ndarray:
        """int [rows] of one draw: the classes of the largest logits, NAN where one is NaN. Arguments as of `answers`."""
        return predicted(self.answers(images, rows))

    def votes(self, images, expected: np.ndarray, rows: np.ndarray | None = None) -> Votes:
        """The predictions of as many draws as it takes to say whether most are as expected, int [rows]."""
        rows = np.arange(len(images)) if rows is None else rows
        drawn = np.stack([self.predictions(images, rows) for _ in range(min(self.draws, _FIRST))])
        if self.draws <= _FIRST:
            return Votes(drawn)
        low, high = metrics.wilson_interval((drawn == expected).mean(axis=0), len(drawn))
        undecided = np.flatnonzero((low <= 0.5) & (high >= 0.5))
        more = Votes.none_of(len(rows), self.draws - _FIRST).drawn
        if len(undecided):
            more[:, undecided] = [self.predictions(images, rows[undecided]) for _ in more]
        return Votes(np.concatenate([drawn, more]))


def changes(logits: np.ndarray, others: np.ndarray) -> np.ndarray:
    """float64 [examples]: by how much logits [examples, classes] differ at most. What all of an image share does not count."""
    one, other = (each - each.mean(axis=1, keepdims=True, dtype="float64") for each in (logits, others))
    return np.abs(one - other).max(axis=1)


def predicted(answers: np.ndarray) -> np.ndarray:
    """int [examples], the class of each answer, NAN where it is NaN."""
    if answers.ndim == 1:
        return answers.astype(int)
    return np.where(np.isnan(answers).any(axis=1), NAN, answers.argmax(axis=1))
