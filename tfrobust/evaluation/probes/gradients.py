"""Whether gradients say anything, and whether it is true: the change that they predict against the change that comes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfrobust.evaluation import batches, storage
from tfrobust.evaluation.probes.model import AskedModel

RANDOM_DIRECTIONS = 3
STEPS = (0.0001, 0.0005, 0.004)  # of a pixel: the first for curved networks, the last for half precision and 8 bits
_STEPS_OF_LOGITS = 4.0  # by which rounding inside an integer model moves the difference of two margins
_BESIDE = 0.002  # how far off the clean images: in flat regions of black pixels kinks lie exactly on them


class Gradients(NamedTuple):
    """The gradients of the margin at some points.

    Attributes:
      zero, broken: bool [examples], exactly zero; not finite.
    """

    zero: np.ndarray
    broken: np.ndarray


class Directions(NamedTuple):
    """Errors of what gradients predict, relative to the larger of the predicted and the real change of the margin.

    NaN where a step changes too little: no more than rounding does, in the answers or inside a model of integers.

    Attributes:
      rows: int [images], which of the examples these are.
      steps: the largest change of a pixel.
      steepest: float32 [steps, images], along the sign of the gradient.
      random: float32 [steps, images], root mean square along random signs.
    """

    rows: np.ndarray
    steps: Sequence[float]
    steepest: np.ndarray
    random: np.ndarray


def everywhere(model: AskedModel, images, labels: np.ndarray) -> Gradients:
    """Looks at the gradients of all images, float32 or what gives rows of such; NaN in them is taken for 0."""
    zero, broken = [], []
    for rows, count in batches.padded(model.batch_size, np.arange(len(labels))):
        gradient = model.slopes(np.nan_to_num(images[rows]), labels[rows]).gradient.reshape(len(rows), -1)[:count]
        zero.append((gradient == 0.0).all(axis=1))
        broken.append(~np.isfinite(gradient).all(axis=1))
    return Gradients(np.concatenate(zero), np.concatenate(broken))


def directions(model: AskedModel, examples, steps: Sequence[float], precision: float, generator) -> Directions:
    """Compares what the gradient at each image predicts with what the model answers a step away.

    Args:
      model: what is asked, 4 * len(steps) + 1 times about each image.
      examples: (images float32 [images, height, width, channels], labels int [images], rows int [images]).
      steps: the largest change of a pixel, for each step that is tried.
      precision: the smallest relative difference between numbers that the model computes in.
      generator: a NumPy generator, for the random signs.
    """
    images, labels, rows = examples
    parts = []
    for start in range(0, len(rows), model.batch_size):
        batch = slice(start, start + model.batch_size)
        parts.append(_directions(model, images[batch], labels[batch], steps, precision, generator))
    return Directions(rows, steps, *(np.concatenate(part, axis=1) for part in zip(*parts)))


def beside(images: np.ndarray, generator) -> np.ndarray:
    """Points off the images by up to `_BESIDE` in every pixel, inside (0, 1)."""

    def moved(some):
        away = some + generator.uniform(_BESIDE / 4, _BESIDE, some.shape) * generator.choice([-1.0, 1.0], some.shape)
        return np.where((away < 0) | (away > 1), 2 * some - away, away).astype("float32")

    return storage.by_parts(moved, images)


def _directions(model, images, labels, steps, precision, generator):
    """(steepest, random) errors of one batch, each [steps, images]."""
    slopes = model.slopes(images, labels)
    gradient = np.nan_to_num(slopes.gradient, posinf=0.0, neginf=0.0)
    # A sum of many rounded terms is off by some units in the last place, and an integer model rounds inside.
    rounding = 4.0 * precision * (np.abs(slopes.weights) * np.abs(slopes.logits)).sum(axis=1)
    rounding += _STEPS_OF_LOGITS * model.resolution

    def changes(signs, step):
        """The predicted and the real change of the margin: float64 [images] each."""
        moved = np.clip(images + np.float32(step) * signs, 0.0, 1.0)
        answered = (model.ask(moved) - slopes.logits).astype("float64") * slopes.weights
        predicted = (gradient * (moved - images)).reshape(len(images), -1).sum(axis=1, dtype="float64")
        return predicted, answered.sum(axis=1)

    steepest, at_random = [], []
    for step in steps:
        predicted, answered = changes(np.sign(gradient), step)
        steepest.append(_error(predicted, answered, rounding, axis=()))
        signs = generator.choice(np.array([-1.0, 1.0], "float32"), (RANDOM_DIRECTIONS, *images.shape))
        predicted, answered = zip(*(changes(sign, step) for sign in signs))
        at_random.append(_error(predicted, answered, rounding, axis=(0,)))
    return np.array(steepest), np.array(at_random)


def _error(predicted, answered, rounding, axis):
    """Root mean square of the difference beyond rounding, relative to that of the larger change.

    NaN where that is less than twice what rounding does: nothing can be said of it.
    """
    predicted, answered = np.asarray(predicted), np.asarray(answered)
    wrong = np.maximum(np.abs(predicted - answered) - rounding, 0.0)
    size, of_answers, of_predictions = (
        np.sqrt(np.mean(np.square(part), axis=axis)) for part in (wrong, answered, predicted)
    )
    larger = np.maximum(of_answers, of_predictions)
    return np.where(larger < 2.0 * rounding, np.nan, size / np.maximum(larger, np.finfo("float32").tiny))
