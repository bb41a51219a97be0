"""Numbers that say how robust a model is. Radii and distances are on the [0, 1] pixel scale."""

import math
from collections.abc import Iterable
from typing import overload

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfrobust import balls, objectives
from tfrobust.attacks import LogitsFn, Problem, minimal_perturbation
from tfrobust.attacks.gradient.deepfool import MNIST_TINY
from tfrobust.evaluation import batches, devices
from tfrobust.evaluation.storage import CleanImages


def accuracy(predictions: ArrayLike, labels: ArrayLike) -> float:
    """The fraction of predictions that equal their labels."""
    return float(np.mean(np.asarray(predictions) == np.asarray(labels)))


NORMAL_95 = 1.96  # standard deviations to either side that hold 95 % of a normal distribution


@overload
def wilson_interval(share: float, examples: int, z: float = ...) -> tuple[float, float]: ...
@overload
def wilson_interval(share: np.ndarray, examples: int | np.ndarray, z: float = ...) -> tuple[np.ndarray, np.ndarray]: ...
def wilson_interval(
    share: float | np.ndarray, examples: int | np.ndarray, z: float = NORMAL_95
) -> tuple[float | np.ndarray, float | np.ndarray]:
    """The 95 % interval of a share, or of an array of them, of so many independent examples each (Wilson, 1927)."""
    center = share + z * z / (2 * examples)
    half_width = z * np.sqrt(share * (1 - share) / examples + z * z / (4 * examples**2))
    scale = 1 + z * z / examples
    return np.maximum((center - half_width) / scale, 0.0), np.minimum((center + half_width) / scale, 1.0)


def interval(share: float, examples: int) -> dict[str, float]:
    """The `wilson_interval` of a share as a row of numbers holds it: its ends "low" and "high"."""
    low, high = wilson_interval(share, examples)
    return {"low": float(low), "high": float(high)}


def deepfool_rho_2(
    logits_fn: LogitsFn,
    images: np.ndarray | CleanImages,
    labels: np.ndarray,
    *,
    origin: float | np.ndarray = 0.0,
    steps: int = 50,
    batch_size: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """How far the nearest boundary is by DeepFool, per example, as Deep Defense reports it.

    Neither clipped to [0, 1] nor limited to correctly classified images: each is measured from its own prediction to the
    nearest of the other classes, so that a misclassified one need not end at its label. So it is in the authors' figures;
    their regularizer, in training, measures it to its label (`minimal_perturbation` with the labels).

    Args:
      logits_fn: images -> logits.
      images: float32 [examples, height, width, channels] in [0, 1], or what gives rows of such.
      labels: int [examples]. The distance does not depend on them.
      origin: the image that preprocessing maps to zero, from `layers.origin(model)`.
      steps: DeepFool iterations at most.
      batch_size: examples per batch; None: 200, or as many as are 16 MiB of floats.

    Returns:
      (rho_2 float32 [examples], l2 float32 [examples]); their means are the paper's rho_2 and l2.
    """

    def perturb(images):
        predicted = tf.argmax(logits_fn(images), axis=1, output_type=tf.int32)
        return minimal_perturbation(logits_fn, images, predicted, steps=steps, tiny=MNIST_TINY).delta

    del labels
    batch_size = batch_size or batches.default_size(images.shape[1:], most=200)
    of_any_size = tf.TensorSpec([None, *images.shape[1:]], tf.float32)
    alone = tf.function(perturb, input_signature=[of_any_size], autograph=False)
    # Traced here: TensorFlow warns of a function that is made, and traced, for each of several models.
    run = devices.shared(perturb, alone.get_concrete_function() if devices.count() == 1 else alone)
    rho_2, l2 = [], []
    for start in range(0, len(images), batch_size):
        batch = tf.constant(images[start : start + batch_size])
        delta = run(batch)
        rho_2.append(balls.relative_size(balls.L2, delta, batch, origin).numpy())
        l2.append(balls.L2.size(delta).numpy())
    return np.concatenate(rho_2), np.concatenate(l2)


def fgsm_rho_inf(
    logits_fn: LogitsFn,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    origin: float | np.ndarray = 0.0,
    batch_size: int = 200,
    tolerance: float = 1e-4,
) -> tuple[float, float]:
    """The radius at which the fast gradient sign method leaves 50 % accuracy, and rho_inf there.

    Deep Defense, supplement, eq. 2: mean of radius / ||x||_inf. As in the paper, images are not clipped. The radius of the
    regularized network is the paper's eps_ref: see `fgsm_accuracies`.

    Returns:
      (rho_inf, radius), found by bisection to `tolerance`; (inf, inf) if even a change of 1 leaves more than half.
    """
    accuracy_at = _fast_gradient_sign(logits_fn, images, labels, batch_size)
    low, high = 0.0, 1.0
    if accuracy_at(high) > 0.5:
        return math.inf, math.inf
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (low, middle) if accuracy_at(middle) <= 0.5 else (middle, high)
    starts = range(0, len(images), batch_size)
    norms = [balls.Linf.size(images[i : i + batch_size] - tf.cast(origin, tf.float32)) for i in starts]
    return float(np.mean(high / np.concatenate(norms))), high


def fgsm_accuracies(
    logits_fn: LogitsFn, images: np.ndarray, labels: np.ndarray, radii: Iterable[float], *, batch_size: int = 200
) -> list[float]:
    """The accuracy under the fast gradient sign method at each of some radii, of images that are not clipped.

    Deep Defense, tables 1 and 3, gives those at 0.2, 0.5 and 1.0 eps_ref, where eps_ref is the radius of `fgsm_rho_inf` of the
    regularized network, the same for all networks of a table.

    Example:
      >>> _, reference = fgsm_rho_inf(regularized, images, labels)
      >>> fgsm_accuracies(logits_fn, images, labels, [0.2 * reference, 0.5 * reference, reference])
      [0.98, 0.79, 0.31]
    """
    accuracy_at = _fast_gradient_sign(logits_fn, images, labels, batch_size)
    return [accuracy_at(radius) for radius in radii]


def _fast_gradient_sign(logits_fn, images, labels, batch_size):
    """radius -> accuracy. The gradients are computed once."""
    batch, numbers = tf.TensorSpec([None, *images.shape[1:]], tf.float32), tf.TensorSpec([None], labels.dtype)

    @tf.function(input_signature=[batch, numbers], autograph=False)
    def direction(images, labels):
        problem = Problem(logits_fn, images, labels)
        return tf.sign(problem.value_and_gradient(objectives.cross_entropy, images)[1])

    @tf.function(input_signature=[batch, numbers, batch, tf.TensorSpec([], tf.float32)], autograph=False)
    def classified(images, labels, signs, radius):
        return tf.argmax(logits_fn(images + radius * signs), axis=1, output_type=labels.dtype) == labels

    direction, classified = direction.get_concrete_function(), classified.get_concrete_function()
    starts = range(0, len(images), batch_size)
    pairs = [(tf.constant(images[i : i + batch_size]), tf.constant(labels[i : i + batch_size])) for i in starts]
    signs = [direction(*pair) for pair in pairs]

    def accuracy_at(radius):
        radius = tf.constant(radius, tf.float32)
        return float(np.concatenate([classified(*pair, sign, radius) for pair, sign in zip(pairs, signs)]).mean())

    return accuracy_at
