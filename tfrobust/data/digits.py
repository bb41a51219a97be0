"""Scikit-learn's handwritten digits: real images that need no download."""

import numpy as np
import tensorflow as tf

from tfrobust.data.split import Split
from tfrobust.errors import InputError


def load(split: str) -> Split:
    """The 1,797 digits of scikit-learn (8x8, UCI Optical Recognition), resized to 28x28; every fifth is a test image.

    Raises:
      InputError: for a split other than train and test.
    """
    from sklearn import datasets

    digits = datasets.load_digits()
    images = tf.image.resize(digits.images[..., None] / 16.0, [28, 28], method="bicubic")
    images = np.round(np.clip(images, 0, 1) * 255).astype("uint8")
    is_test = np.arange(len(images)) % 5 == 4
    if split not in ("train", "test"):
        raise InputError(f"digits has the splits train and test, got {split!r}")
    chosen = is_test if split == "test" else ~is_test
    return Split(images[chosen], digits.target[chosen].astype("int64"), 10)
