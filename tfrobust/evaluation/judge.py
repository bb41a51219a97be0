"""The one criterion of success.

An attack has broken an example if the *recomputed* prediction is another than the label and the adversarial image is
finite, inside [0, 1] and inside the attack's ball. Examples that are misclassified to begin with are not attacked; they
count as broken.
"""

import numpy as np
import tensorflow as tf

from tfrobust import balls
from tfrobust.evaluation.craft import AttackRunner, Crafted
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.predictor import Predictor
from tfrobust.evaluation.prepare import Examples


def judge(runner: AttackRunner, crafted: Crafted, examples: Examples, predictor: Predictor) -> Outcome:
    """Which examples an attack has broken, as it made them and after rounding to 8 bits."""
    images, labels, attacked = examples
    ball, adversarial = runner.attack.ball, crafted.adversarial
    fooled, valid = crafted.predictions != labels, is_valid(adversarial, images, ball)
    rounded = round_to_uint8(np.nan_to_num(adversarial), images, ball)
    rounded[~attacked] = images[~attacked]
    return Outcome(
        name=runner.name,
        attack=runner.attack,
        source=runner.source,
        examples=examples,
        adversarial=adversarial,
        predictions=crafted.predictions,
        broken=~attacked | (fooled & valid),
        broken_uint8=~attacked | (predictor.predictions(rounded) != labels),
        invalid=int((attacked & fooled & ~valid).sum()),
        queries=crafted.queries,
        backward_passes=crafted.backward_passes,
        seconds=crafted.seconds,
    )


def is_valid(adversarial: np.ndarray, images: np.ndarray, ball: balls.Ball | None) -> np.ndarray:
    """Which images are finite, inside [0, 1] and inside the ball: bool [examples]."""
    flat = adversarial.reshape(len(adversarial), -1)
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(flat).all(axis=1) & (flat.min(axis=1) >= 0) & (flat.max(axis=1) <= 1)
    return valid if ball is None else valid & in_ball(adversarial - images, ball)


def in_ball(delta, ball: balls.Ball) -> np.ndarray:
    """Which perturbations lie inside: 1e-6 of the radius is tolerated, and the rounding of float32 pixels."""
    delta = tf.convert_to_tensor(delta)
    rounding = ball.size(tf.fill(tf.shape(delta[:1]), 2.0**-24))[0] if not isinstance(ball, balls.L0) else 0.0
    return (ball.size(delta) <= ball.radius * (1 + 1e-6) + rounding).numpy()


def round_to_uint8(adversarial, images: np.ndarray, ball: balls.Ball | None = None) -> np.ndarray:
    """What an attacker can store in an 8-bit file: on the grid of 1/255, and still inside the ball.

    Rounds to the nearest grid value. Where that leaves the ball, every change is instead cut toward the clean
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
        outside = ~in_ball((rounded / 255.0 - clean / 255.0).astype("float32"), ball)
        change = (attacked - clean)[outside]
        rounded[outside] = clean[outside] + np.trunc(change + 1e-4 * np.sign(change))
    return (np.clip(rounded, 0, 255) / 255.0).astype("float32")
