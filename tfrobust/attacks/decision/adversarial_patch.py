"""A patch that fools a network wherever it lies: Brown, Mané, Roy, Abadi and Gilmer, 2017, "Adversarial patch"
(arXiv 1712.09665).

One picture for all images, trained once (`train_patch`, `python -m trainers.patch`), saved, and reused: on other images, other
models, exported files. Each image gets it at a random place, turned and scaled at random.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
import tqdm

from tfrobust import seeds
from tfrobust.attacks import fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.decision.trials import worst_of
from tfrobust.attacks.problem import LogitsFn, Problem
from tfrobust.attacks.warp import warped
from tfrobust.errors import InputError


@dataclasses.dataclass(frozen=True)
class AdversarialPatch(Attack):
    """Puts a trained patch on images.

    No norm measures it: the patch's size is the threat model, and what withstands it counts as robust.

    Attributes:
      patch: float [side, side, channels + 1] in [0, 1], the colors and how much of the image they cover; an array or the path
        of an .npy file, such as `train_patch` makes.
      rotation: degrees, to either side.
      scale: of the patch's size.
      samples: places that are tried; the first success is kept, else the image with the largest margin.

    Memory: 6 batches of images.

    Example:
      >>> adversarial = AdversarialPatch(patch)(logits_fn, images, labels, seed=0)
    """

    patch: fields.Patch
    _: dataclasses.KW_ONLY
    rotation: fields.NonNegative = 22.5
    scale: fields.Positive = 1.0
    samples: fields.Count = 1

    name = "adversarial_patch"
    needs = Access.DECISION_BASED

    def run(self, problem: Problem) -> tf.Tensor:
        patch = tf.constant(self.patch.values, tf.float32)

        def covered(index, here):
            scale = tf.fill(tf.shape(here.labels), self.scale)
            return put_on(here.images, patch, seeds.fold_in(here.keys, index), self.rotation, scale)

        return worst_of(covered, problem, self.samples)


def put_on(images, patch, keys, rotation: float, scale) -> tf.Tensor:
    """Images with a patch at a random place, whole.

    Args:
      images: float32 [batch, height, width, channels].
      patch: float32 [side, side, channels + 1].
      keys: int32 [batch, 2], the seeds of the draws.
      rotation: degrees, to either side.
      scale: float32 [batch], of the patch's size.

    Raises:
      InputError: for a patch that is larger than the image, or has other channels.
    """
    height, width, channels = images.shape[1:]
    side = patch.shape[0]
    if patch.shape[2] != channels + 1 or side > min(height, width):
        raise InputError(
            f"adversarial_patch: a patch of {side}x{side} pixels and {patch.shape[2] - 1} channels does not go on images of "
            f"{height}x{width}x{channels}"
        )
    draws = 2.0 * seeds.uniform(keys, [3]) - 1.0
    room = (tf.constant([[height, width]], tf.float32) - side * scale[:, None]) / 2.0
    colors = patch[..., :-1] * patch[..., -1:]
    canvas = tf.image.resize_with_crop_or_pad(tf.concat([colors, patch[..., -1:]], axis=-1), height, width)
    placed = warped(canvas[None], draws[:, 0] * rotation, draws[:, 1:] * tf.maximum(room, 0.0), scale)
    return tf.clip_by_value(images * (1.0 - placed[..., -1:]) + placed[..., :-1], 0.0, 1.0)


def train_patch(
    logits_fn: LogitsFn,
    images: np.ndarray,
    labels: np.ndarray,
    side: int,
    *,
    goal: int | None = None,
    rotation: float = 22.5,
    scales: tuple[float, float] = (0.8, 1.2),
    steps: int = 500,
    batch_size: int = 32,
    learning_rate: float = 0.05,
    seed: int = 0,
    progress: bool = True,
) -> np.ndarray:
    """Trains a round patch: the expectation over images, places, angles and scales of log Pr(what is wanted) rises by Adam.

    Args:
      logits_fn: images -> logits [batch, classes], differentiable.
      images: [examples, height, width, channels] in [0, 1], as many as there are; the more, the more it carries over.
      labels: int [examples], the true labels; of a patch toward a goal, images of that class are left out.
      side: the patch's diameter in pixels.
      goal: the class to be seen; None: any wrong one.
      rotation: degrees, to either side.
      scales: the least and the largest.
      steps, batch_size, learning_rate: of the training.
      seed: of all draws.
      progress: whether a bar shows how many images of a batch are fooled.

    Returns:
      float32 [side, side, channels + 1] in [0, 1], whole steps of 1/255: the colors, and 1 where it covers the image.

    Raises:
      InputError: for a patch larger than the images, a goal that is no class, or too few images.

    Example:
      >>> patch = train_patch(network, train.floats(), train.labels, side=12, goal=3)
      >>> np.save("patch.npy", patch)
      >>> report = tfr.evaluate(network, test.floats(), test.labels, ["targeted(adversarial_patch('patch.npy'), 3)"])
    """
    chosen = np.flatnonzero(np.asarray(labels) != (-1 if goal is None else goal))
    if len(chosen) < 1:
        raise InputError("train_patch: there is no image of another class than the goal")
    low, high = scales
    if not 0 < low <= high:
        raise InputError(f"train_patch: scales must rise from above 0, got {scales}")
    classes = logits_fn(tf.constant(images[:1], tf.float32)).shape[-1]
    if goal is not None and not 0 <= goal < classes:
        raise InputError(f"train_patch: goal must be a class, from 0 to {classes - 1}; got {goal}")
    random, channels = np.random.default_rng(seed), images.shape[-1]
    colors = tf.Variable(tf.fill([side, side, channels], 0.5))
    optimizer = keras.optimizers.Adam(learning_rate)
    disk = tf.constant(_disk(side))

    @tf.function(autograph=False)
    def step(clean, labels, keys):
        problem = Problem(logits_fn, clean, labels, None if goal is None else tf.fill(tf.shape(labels), goal))
        scale = low + (high - low) * seeds.uniform(seeds.fold_in(keys, 1), [16])[:, 0]
        with tf.GradientTape() as tape:
            covered = put_on(problem.images, tf.concat([colors, disk], axis=-1), keys, rotation, scale)
        objective = _log_wrong if goal is None else _cross_entropy
        found = problem.ascend(lambda logits: problem.value_of(objective, logits), covered)
        optimizer.apply_gradients([(-tape.gradient(covered, colors, output_gradients=found.gradient), colors)])
        colors.assign(tf.clip_by_value(colors, 0.0, 1.0))
        return tf.reduce_mean(tf.cast(problem.wanted(found.logits), tf.float32))

    with tqdm.tqdm(total=steps, desc="patch", unit="step", disable=None if progress else True) as bar:
        for index in range(steps):
            rows = random.choice(chosen, min(batch_size, len(chosen)), replace=False)
            keys = seeds.per_example(seed, index * batch_size + np.arange(len(rows)))
            fooled = step(tf.constant(images[rows], tf.float32), tf.constant(labels[rows], tf.int32), keys)
            bar.update()
            bar.set_postfix(fooled=f"{float(fooled):.0%}")
    return np.round(np.concatenate([colors.numpy(), disk], axis=-1) * 255.0).astype("float32") / np.float32(255.0)


def _disk(side):
    """1 inside the circle, 0 outside: float32 [side, side, 1]."""
    place = np.arange(side) - (side - 1) / 2
    return (np.hypot(place[:, None], place) <= side / 2).astype("float32")[..., None]


def _cross_entropy(logits, labels):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _log_wrong(logits, labels):
    """log Pr(a wrong answer); unlike the cross-entropy of the label, it ends at 0 once an image is fooled."""
    others = tf.where(tf.one_hot(labels, logits.shape[1], on_value=True, off_value=False), float("-inf"), logits)
    return tf.reduce_logsumexp(others, axis=1) - tf.reduce_logsumexp(logits, axis=1)
