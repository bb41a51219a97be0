"""Dropout of whole squares of a feature map: the baseline that Random Mask is compared with.

Ghiasi, Lin and Le, NeurIPS 2018, algorithm 1: the corner of a square is drawn with probability

    gamma = rate / block_size^2 * height * width / ((height - block_size + 1) * (width - block_size + 1))

among the places where the square fits into the map; then y = x * M * count(M) / count_ones(M).
"""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfrobust")
class DropBlock(keras.layers.Layer):
    """Sets random squares of its input to zero in training, in each channel its own; the identity at inference.

    What is kept is scaled up by the share that is kept of its own example, so that examples do not depend on one another.
    Squares may overlap, so the share of zeros is a little below `rate`.

    Args:
      rate: the share of zeros that is aimed at, in [0, 1): the paper's 1 - keep_prob.
      block_size: side of the squares; 7 is the paper's for ImageNet. 1 is dropout; a square that is larger than the map
        is cut to its shorter side, which for a square map drops whole channels.
      seed: of the draws, which are new in each step.

    Input and output shape:
      [batch, height, width, channels], with known height and width.

    Raises:
      ValueError: for a rate outside [0, 1), a block_size that is not a whole number of at least 1 or an unknown
        spatial size.

    Example:
      >>> DropBlock(0.1, block_size=3)(keras.ops.ones([1, 8, 8, 4]), training=True).shape
      TensorShape([1, 8, 8, 4])
    """

    def __init__(self, rate: float, block_size: int = 7, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if not (isinstance(rate, (int, float)) and 0 <= rate < 1):
            raise ValueError(f"rate is the share of zeros, in [0, 1); got {rate!r}")
        if not (isinstance(block_size, int) and block_size >= 1):
            raise ValueError(f"block_size must be a whole number of at least 1, got {block_size!r}")
        self.rate, self.block_size, self.seed = rate, block_size, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        if len(input_shape) != 4 or None in input_shape[1:3]:
            raise ValueError(
                f"DropBlock needs inputs [batch, height, width, channels] of known size, got {input_shape}"
            )

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        kept = self._draw_kept(ops.shape(inputs))
        share = ops.mean(kept, axis=(1, 2, 3), keepdims=True)
        return inputs * ops.cast(ops.divide_no_nan(kept, share), inputs.dtype)  # 0 where nothing is kept

    def _draw_kept(self, shape):
        """1.0 for the units that are kept, 0.0 for the others: float32, of the inputs' shape."""
        batch, height, width, channels = shape
        size = min(self.block_size, height, width)
        rows, columns = height - size + 1, width - size + 1
        gamma = self.rate / size**2 * height * width / (rows * columns)
        draws = keras.random.uniform([batch, rows, columns, channels], seed=self.seed_generator)
        corners = ops.cast(draws < gamma, "float32")
        around = [[0, 0], [size - 1, size - 1], [size - 1, size - 1], [0, 0]]
        return 1 - ops.max_pool(ops.pad(corners, around), size, strides=1, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "block_size": self.block_size, "seed": self.seed}
