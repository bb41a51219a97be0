"""The first layer of every model: from images in [0, 1] to what the network was made for."""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike


@keras.saving.register_keras_serializable(package="tfrobust")
class Standardize(keras.layers.Layer):
    """(images - mean) / std.

    One layer for every usual preprocessing: a mean image, a mean and deviation per channel, or a scale alone.
    The constants are part of the configuration, so they survive saving, cloning and export.

    Args:
      mean: a number, one per channel, or an image [height, width, channels], on the [0, 1] scale.
      std: a number or one per channel; 1 / 255 gives pixels on the 0 to 255 scale.

    Example:
      >>> Standardize(mean=0.5, std=0.5)(keras.ops.ones([1, 2, 2, 1])).shape
      TensorShape([1, 2, 2, 1])
    """

    def __init__(self, mean: ArrayLike = 0.0, std: ArrayLike = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.mean = np.asarray(mean, "float32")
        self.std = np.asarray(std, "float32")
        if not np.all(np.isfinite(self.mean)) or not np.all(self.std > 0):
            raise ValueError(f"Standardize needs a finite mean and a positive std, got mean={mean!r}, std={std!r}")

    def call(self, images):
        mean, std = ops.cast(self.mean, images.dtype), ops.cast(self.std, images.dtype)
        return (images - mean) / std

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "mean": self.mean.tolist(), "std": self.std.tolist()}


def origin(model: keras.Model) -> np.ndarray:
    """The image that a model's preprocessing maps to zero: a float32 array that broadcasts against its images.

    `rho_2` and `rho_inf` divide by the norm of the *preprocessed* image (Deep Defense, eq. 7), which is the
    distance to this origin. In an ensemble it is that of the first member; without a `Standardize` layer it is 0.
    """
    for layer in model.layers:
        if isinstance(layer, Standardize):
            return layer.mean
        if isinstance(layer, keras.Model):
            return origin(layer)
    return np.zeros([], "float32")
