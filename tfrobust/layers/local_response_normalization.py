"""Local response normalization: each unit divided by what the units at its place in neighboring channels give.

Krizhevsky, Sutskever and Hinton, NIPS 2012, section 3.3, as Caffe computes it:

    y_c = x_c / (bias + alpha / size * sum of x_j^2 over the `size` channels around c) ^ beta
"""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfrobust")
class LocalResponseNormalization(keras.layers.Layer):
    """Local response normalization across channels; the defaults are AlexNet's in Caffe.

    `tf.nn.local_response_normalization` is the same with `depth_radius=size // 2` and its own `alpha` that is not divided
    by `size`.

    Args:
      size: how many channels are summed over, an odd number.
      alpha, beta, bias: see the formula above.

    Input and output shape:
      [batch, height, width, channels].

    Raises:
      ValueError: for a size that is not an odd whole number.

    Example:
      >>> LocalResponseNormalization()(keras.ops.ones([1, 2, 2, 8])).shape
      TensorShape([1, 2, 2, 8])
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        if not (isinstance(size, int) and size > 0 and size % 2):
            raise ValueError(f"size must be an odd whole number, got {size!r}")
        self.size, self.alpha, self.beta, self.bias = size, alpha, beta, bias

    def call(self, inputs):
        channels, radius = inputs.shape[-1], self.size // 2
        squares = ops.pad(ops.square(inputs), [[0, 0], [0, 0], [0, 0], [radius, radius]])
        around = sum(squares[..., first : first + channels] for first in range(self.size))
        return inputs * ops.power(self.bias + self.alpha / self.size * around, -self.beta)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        options = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "bias": self.bias}
        return {**super().get_config(), **options}
