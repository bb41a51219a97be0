"""CLEVER: an estimate of the distance to the nearest adversarial image, from the largest slopes around the clean one.

    score = min over wrong classes j of min(g_j(x) / L_j, radius)        g_j: the prediction's logit less that of j

L_j, the Lipschitz constant of g_j in the ball, is the location of a reverse Weibull distribution that is fitted to the
largest gradients of g_j in several batches of random points (Weng et al., ICLR 2018, theorem 3.2, algorithms 1 and 2).
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tqdm

from tfrobust import balls, seeds
from tfrobust.attacks import LogitsFn, Problem

_PENALTY = 1.0  # of the shape of a distribution, in nats: as if shapes were exponentially distributed around one
_CONSTANT = 1e-6  # of the largest slope: slopes that differ by less are those of a linear function


def clever(
    logits_fn: LogitsFn,
    images: np.ndarray,
    ball: balls.Ball,
    *,
    goals: np.ndarray | Sequence[int] | None = None,
    batches: int = 50,
    samples: int = 200,
    seed: int = 0,
    progress: bool = False,
) -> np.ndarray:
    """How far the nearest adversarial image is, as CLEVER estimates it. It is no bound: it may be too large.

    Args:
      logits_fn: images -> logits.
      images: float32 [examples, height, width, channels] in [0, 1].
      ball: where points are drawn, uniformly, clipped to [0, 1]; its norm is that of the distance, its radius the largest.
      goals: int [examples], the classes to reach; None: the nearest of all others.
      batches, samples: N_b largest slopes, each of N_s points; the paper takes 500 of 1,024. Each point costs a forward
        pass and a backward pass for each class.
      seed: of the points.
      progress: show a progress bar.

    Returns:
      float32 [examples], at most the radius; 0 where the goal is what the model answers.

    Example:
      >>> scores = clever(lambda x: model(x, training=False), images[:10], balls.L2(2.0))
    """
    images = np.asarray(images, "float32")
    logits = np.asarray(logits_fn(tf.constant(images)))
    predicted, classes = logits.argmax(axis=1), logits.shape[1]

    @tf.function(autograph=False)
    def largest(image, label, rivals, keys):
        points = tf.clip_by_value(image + ball.sample(keys, images.shape[1:]), 0.0, 1.0)
        _, pullback = Problem(logits_fn, points, tf.fill([samples], label)).pullback(points)
        down = tf.one_hot(label, classes)
        slopes = [
            pullback(tf.tile((down - tf.one_hot(rival, classes))[None], [samples, 1])) for rival in tf.unstack(rivals)
        ]
        return tf.stack([tf.reduce_max(type(ball).dual(slope)) for slope in slopes])

    def score(row):
        label = int(predicted[row])
        rivals = np.delete(np.arange(classes), label) if goals is None else np.array([goals[row]])
        if label in rivals:
            return 0.0
        keys = [
            seeds.fold_in(seeds.per_example(seed, np.arange(samples)), row * batches + batch)
            for batch in range(batches)
        ]
        arguments = (tf.constant(images[row]), tf.constant(label), tf.constant(rivals))
        maxima = np.stack([largest(*arguments, key).numpy() for key in keys], axis=1)
        margins = logits[row, label] - logits[row, rivals]
        return min(min(margin / location(found), ball.radius) for margin, found in zip(margins, maxima))

    rows = tqdm.trange(len(images), desc=f"CLEVER, {ball}", unit="image", disable=None if progress else True)
    return np.array([score(row) for row in rows], "float32")


def location(maxima: np.ndarray) -> float:
    """The right end of a reverse Weibull distribution, of which these are draws: the most likely one, no less than all of them.

    Draws that look unbounded are the likelier the farther the end, and with shapes below one the likelihood has no bound
    where the end is the largest draw: the shape is penalized, and the end is at least a thousandth of the spread beyond.

    Example:
      >>> location(np.array([1.0, 1.0, 1.0]))
      1.0
    """
    largest = float(maxima.max())
    if largest <= 0.0 or np.ptp(maxima) <= _CONSTANT * largest:
        return max(largest, float(np.finfo("float32").tiny))
    from scipy import optimize  # half a second

    spread = float(np.ptp(maxima))

    def unlikeliness(logarithm):
        """Of an end that is so many times the draws' spread beyond the largest of them."""
        gaps = np.exp(logarithm) + (largest - maxima) / spread
        logs = np.log(gaps / gaps.max())

        def slope(shape):
            powers = np.exp(shape * logs)
            return powers @ logs / powers.sum() - 1 / shape - logs.mean()

        shape = optimize.brentq(slope, 1e-3, 1e6)
        density = np.log(shape) - np.log(np.mean(np.exp(shape * logs))) + (shape - 1) * logs.mean() - np.log(gaps.max())
        return _PENALTY * shape - len(maxima) * density

    grid = np.linspace(np.log(1e-3), np.log(100.0), 40)
    best = int(np.argmin([unlikeliness(point) for point in grid]))
    ends = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = optimize.minimize_scalar(unlikeliness, bounds=ends, method="bounded").x
    return largest + float(np.exp(found)) * spread
