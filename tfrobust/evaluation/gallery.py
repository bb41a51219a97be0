"""Which examples of an attack a report shows, and how sure the model is of them."""

from typing import NamedTuple

import numpy as np

from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.prepare import Subject

BROKEN, WITHSTOOD = 6, 3  # examples that are shown


class Gallery(NamedTuple):
    """Some examples of an attack.

    Attributes:
      rows: int [shown], those that it broke first, of as many classes as there are.
      clean, adversarial: float [shown], the model's probability of its answer at the image; None where it gives labels
        alone, or is not in this process and would have to be asked once more.
    """

    rows: np.ndarray
    clean: np.ndarray | None
    adversarial: np.ndarray | None


def choose(outcome: Outcome, subject: Subject) -> Gallery:
    """The first examples of each class that an attack broke, and some that it tried in vain."""
    labels = outcome.examples.labels
    withstood = outcome.tried & ~outcome.broken
    rows = np.concatenate([_of_all_classes(outcome.hit, labels, BROKEN), _of_all_classes(withstood, labels, WITHSTOOD)])
    if subject.answers.ndim == 1 or not subject.target.local or not len(rows):
        return Gallery(rows, None, None)
    adversarial = subject.predictor.answers(outcome.images, rows)
    return Gallery(rows, _probability(subject.answers[rows]), _probability(adversarial))


def _of_all_classes(chosen, labels, count):
    """int: at most so many of the examples, class by class the first of each, then the second."""
    rows = np.flatnonzero(chosen)
    place = np.array([(labels[rows[:index]] == labels[row]).sum() for index, row in enumerate(rows[:1000])], int)
    return rows[: len(place)][np.lexsort((rows[: len(place)], place))][:count]


def _probability(logits):
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return 1.0 / odds.sum(axis=1)
