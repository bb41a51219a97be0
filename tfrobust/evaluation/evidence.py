"""What the checks look at, gathered once: the results, what the model answers, and its gradients."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfrobust import objectives
from tfrobust.attacks import Access, Attack, Problem
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.predictor import Predictor
from tfrobust.targets import Target

PASSES = 5
OBJECTIVES = (objectives.cross_entropy, objectives.margin)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All that says whether an evaluation is to be trusted. Without one of its parts, the checks of it say nothing.

    Attributes:
      logits: of the clean images, float32 [examples, classes].
      labels: int [examples].
      passes: the logits of some images, computed anew each time.
      gradients: of an objective by its name, with respect to some images, [images, values]; none where the target
        cannot be differentiated.
      attacks: the attacks.
      rows: their entries of the report.
      invalid: how many images of each attack fool the model but lie outside of what is allowed.
    """

    logits: np.ndarray
    labels: np.ndarray
    passes: Sequence[np.ndarray] = ()
    gradients: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    attacks: Sequence[Attack] = ()
    rows: Sequence[dict] = ()
    invalid: Sequence[int] = ()


def gather(
    target: Target,
    predictor: Predictor,
    logits: np.ndarray,
    examples,
    outcomes: Sequence[Outcome],
    rows: Sequence[dict],
) -> Evidence:
    """The evidence of one evaluation. The model is asked about the images of the first batch."""
    images, labels = (array[: predictor.batch_size] for array in (examples.images, examples.labels))
    return Evidence(
        logits=logits,
        labels=examples.labels,
        passes=[predictor.answers(images) for _ in range(PASSES)],
        gradients=_gradients(target, images, labels),
        attacks=[outcome.attack for outcome in outcomes],
        rows=rows,
        invalid=[outcome.invalid for outcome in outcomes],
    )


def _gradients(target, images, labels):
    if target.access < Access.WHITE_BOX:
        return {}
    problem = Problem(target.logits, tf.constant(images), labels)
    found = {}
    for objective in OBJECTIVES:
        _, gradient = problem.value_and_gradient(objective, problem.images)
        found[objective.__name__] = gradient.numpy().reshape(len(images), -1)
    return found
