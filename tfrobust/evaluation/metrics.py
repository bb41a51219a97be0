"""Numbers that say how robust a model is. Radii and distances are on the [0, 1] pixel scale."""

import math

import numpy as np
import tensorflow as tf

from tfrobust import balls, gradients, objectives
from tfrobust.attacks import deepfool


def accuracy(predictions, labels):
    """The fraction of predictions that equal their labels."""
    return float(np.mean(np.asarray(predictions) == np.asarray(labels)))


def wilson_interval(share, examples, z=1.96):
    """The 95 % interval of a share that was counted over `examples` independent examples (Wilson, 1927)."""
    center = share + z * z / (2 * examples)
    half_width = z * math.sqrt(share * (1 - share) / examples + z * z / (4 * examples**2))
    scale = 1 + z * z / examples
    return (center - half_width) / scale, (center + half_width) / scale


def round_to_uint8(adversarial, images, ball=None):
    """What an attacker can store in an 8-bit file: on the grid of 1/255, and still inside the ball.

    Rounds to the nearest grid value. Where that leaves the ball, every change is instead cut towards the clean
    image's grid value, which can only shrink it.

    Args:
      adversarial, images: float32 [batch, height, width, channels] in [0, 1].
      ball: the ball the attack was confined to, or None.

    Returns:
      float32 images whose values are whole numbers divided by 255.
    """
    clean, attacked = np.round(images * 255.0), np.asarray(adversarial, "float64") * 255.0
    rounded = np.round(attacked)
    if ball is not None:
        change = (rounded / 255.0 - clean / 255.0).astype("float32")
        outside = ~in_ball(change, ball)
        rounded[outside] = clean[outside] + np.trunc(
            (attacked - clean)[outside] + 1e-4 * np.sign(attacked - clean)[outside]
        )
    return (np.clip(rounded, 0, 255) / 255.0).astype("float32")


def in_ball(delta, ball):
    """Which perturbations lie inside: 1e-6 of the radius is tolerated, and the rounding of float32 pixels."""
    delta = tf.convert_to_tensor(delta)
    rounding = ball.size(tf.fill(tf.shape(delta[:1]), 2.0**-24))[0] if not isinstance(ball, balls.L0) else 0.0
    return (ball.size(delta) <= ball.radius * (1 + 1e-6) + rounding).numpy()


def deepfool_rho_2(logits_fn, images, labels, *, origin=0.0, steps=50, batch_size=200):
    """How far the nearest boundary is by DeepFool, per example, as Deep Defense reports it.

    Neither clipped to [0, 1] nor limited to right predictions: a wrong one is measured to its label.

    Args:
      logits_fn: images -> logits.
      images: float32 [examples, height, width, channels] in [0, 1].
      labels: int [examples].
      origin: the image that preprocessing maps to zero, from `layers.origin(model)`.
      steps: DeepFool iterations at most.
      batch_size: examples per batch.

    Returns:
      (rho_2 float32 [examples], l2 float32 [examples]); their means are the paper's rho_2 and l2.
    """

    @tf.function
    def perturb(images, labels):
        return deepfool.minimal_perturbation(logits_fn, images, labels, steps=steps, tiny=deepfool.MNIST_TINY).delta

    rho_2, l2 = [], []
    for start in range(0, len(images), batch_size):
        batch = tf.constant(images[start : start + batch_size])
        delta = perturb(batch, tf.constant(labels[start : start + batch_size]))
        rho_2.append(balls.relative_size(balls.L2, delta, batch, origin).numpy())
        l2.append(balls.L2.size(delta).numpy())
    return np.concatenate(rho_2), np.concatenate(l2)


def fgsm_rho_inf(logits_fn, images, labels, *, origin=0.0, batch_size=200, tolerance=1e-4):
    """The radius at which the fast gradient sign method leaves 50 % accuracy, and rho_inf there.

    Deep Defense, supplement, eq. 2: mean of radius / ||x||_inf. As in the paper, images are not clipped.

    Returns:
      (rho_inf, radius), found by bisection to `tolerance`; (inf, inf) if even a change of 1 leaves more than half.
    """

    @tf.function
    def direction(images, labels):
        _, gradient = gradients.value_and_gradient(objectives.cross_entropy, logits_fn, images, labels)
        return tf.sign(gradient)

    @tf.function
    def right(images, labels, signs, radius):
        return tf.argmax(logits_fn(images + radius * signs), axis=1, output_type=labels.dtype) == labels

    starts = range(0, len(images), batch_size)
    batches = [(tf.constant(images[i : i + batch_size]), tf.constant(labels[i : i + batch_size])) for i in starts]
    signs = [direction(*batch) for batch in batches]

    def accuracy_at(radius):
        radius = tf.constant(radius, tf.float32)
        return np.concatenate([right(*batch, sign, radius) for batch, sign in zip(batches, signs)]).mean()

    low, high = 0.0, 1.0
    if accuracy_at(high) > 0.5:
        return math.inf, math.inf
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (low, middle) if accuracy_at(middle) <= 0.5 else (middle, high)
    norms = np.concatenate([balls.Linf.size(batch - tf.cast(origin, tf.float32)) for batch, _ in batches])
    return float(np.mean(high / norms)), high
