"""Images made smaller and put at a random place: Xie et al., ICLR 2018, "Mitigating adversarial effects through
randomization", with one size below the network's, as ACE's appendix E compares with.
"""

from typing import Any

import keras
from keras import ops

from tfrobust.errors import InputError
from tfrobust.layers.pixel_shift import moved, one_of


@keras.saving.register_keras_serializable(package="tfrobust")
class ResizePad(keras.layers.Layer):
    """Resizes images by a factor, bilinearly, and pads them with zeros to their size, at a place that is drawn.

    It does so in training and at inference; each call makes new draws, for each image its own.

    Args:
      scale: the factor, in (0, 1).
      seed: of the draws.

    Input and output shape:
      [batch, height, width, channels] of known height and width.

    Raises:
      InputError: for another scale, or images of unknown size.

    Example:
      >>> ResizePad(0.5)(keras.ops.ones([1, 4, 4, 1])).numpy().sum()
      4.0
    """

    def __init__(self, scale: float = 0.9, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0 < scale < 1:
            raise InputError(f"scale must be in (0, 1), got {scale}")
        self.scale, self.seed = scale, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        if len(input_shape) != 4 or None in input_shape[1:3]:
            raise InputError(f"resizing needs images [batch, height, width, channels] of known size, got {input_shape}")

    def call(self, images):
        sizes = [int(size) for size in images.shape[1:3]]
        small = [max(1, round(self.scale * size)) for size in sizes]
        rows, columns = (size - less for size, less in zip(sizes, small))
        resized = ops.image.resize(images, small, data_format="channels_last")
        placed = ops.pad(resized, [[0, 0], [0, rows], [0, columns], [0, 0]])
        placed = one_of([moved(placed, down, 0) for down in range(rows + 1)], self.seed_generator)
        return one_of([moved(placed, 0, right) for right in range(columns + 1)], self.seed_generator)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "seed": self.seed}
