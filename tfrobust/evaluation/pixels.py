"""What an adversarial image may be: finite, inside [0, 1] and a ball; and how it is stored in 8 bits."""

import numpy as np
import tensorflow as tf

from tfrobust import balls
from tfrobust.evaluation import storage


def is_valid(adversarial: np.ndarray, images: np.ndarray, ball: balls.Ball | None) -> np.ndarray:
    """Which images are finite, inside [0, 1] and inside the ball: bool [examples]."""
    flat = adversarial.reshape(len(adversarial), -1)
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(flat).all(axis=1) & (flat.min(axis=1) >= 0) & (flat.max(axis=1) <= 1)
    return valid if ball is None else valid & in_ball(adversarial - images, ball)


def fits(rounded: np.ndarray, images: np.ndarray, ball: balls.Ball | None) -> np.ndarray:
    """Which images in 8 bits lie inside the ball around the clean image's own 8-bit values: bool [examples]."""
    if ball is None:
        return np.ones(len(images), bool)
    return in_ball((rounded - np.round(images * 255.0) / 255.0).astype("float32"), ball)


def in_8_bits(
    adversarial: np.ndarray, images: np.ndarray, attacked: np.ndarray, ball: balls.Ball | None
) -> tuple[np.ndarray, np.ndarray]:
    """What can be stored of adversarial images, and the clean image where that is nothing inside the ball.

    Args:
      adversarial, images: float32 [examples, height, width, channels].
      attacked: bool [examples]; of the others the clean image is kept.
      ball: what the attack was confined to, or None.

    Returns:
      (float32 images like these, bool [examples]: which of them are the adversarial ones).
    """
    rounded = round_to_uint8(np.nan_to_num(adversarial), images, ball)
    storable = attacked & is_valid(adversarial, images, None) & fits(rounded, images, ball)
    rounded[~storable] = images[~storable]
    return rounded, storable


def in_bytes(images: np.ndarray) -> np.ndarray:
    """uint8 images as they are, float32 ones in [0, 1] as their nearest 8-bit values: uint8, a part at a time."""
    if images.dtype == np.uint8:
        return images
    levels = np.empty(images.shape, "uint8")
    for rows in storage.parts(images):
        levels[rows] = np.round(round_to_uint8(images[rows], images[rows]) * 255.0)
    return levels


def in_ball(delta, ball: balls.Ball) -> np.ndarray:
    """Which perturbations lie inside: 1e-6 of the radius is tolerated, and the rounding of float32 pixels."""
    return ball.contains(tf.convert_to_tensor(delta)).numpy()


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
