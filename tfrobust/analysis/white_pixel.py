"""Which single pixels, turned white, make a network err: ACE, ICLR 2019 submission, section 3.1 and figure 2."""

import numpy as np
from numpy.typing import ArrayLike

from tfrobust import targets
from tfrobust.analysis.asked import asked
from tfrobust.errors import InputError


def white_pixel_success(
    model: "targets.Target", images: ArrayLike, labels: ArrayLike, batch_size: int = 100
) -> np.ndarray:
    """The share of images that each pixel breaks when it is white, of those that are classified correctly.

    The model is asked about each such image as often as it has pixels.

    Args:
      model: a target, a Keras model, a path of one, or a function from images to logits.
      images: float32 [examples, height, width, channels] in [0, 1].
      labels: int [examples].
      batch_size: images at a time.

    Returns:
      float64 [height, width] in [0, 1].

    Raises:
      InputError: if no image is classified correctly.

    Example:
      >>> white_pixel_success(tfrobust.models.ace_toy(), images, labels).shape
      (32, 32)
    """
    images, labels = np.asarray(images, "float32"), np.asarray(labels)
    _, predictor = asked(model, images, batch_size)
    right = predictor.predictions(images) == labels
    if not right.any():
        raise InputError("no image is classified correctly: give more images, or the model's own data set")
    attacked, wanted = np.asarray(images[right]), labels[right]
    broken = np.zeros(attacked.shape[1:3])
    for row, column in np.ndindex(broken.shape):
        changed = attacked.copy()
        changed[:, row, column] = 1.0
        broken[row, column] = (predictor.predictions(changed) != wanted).mean()
    return broken
