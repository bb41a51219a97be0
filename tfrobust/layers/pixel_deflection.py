"""Random pixels replaced by their neighbors, and what that leaves denoised.

Prakash et al., CVPR 2018, "Deflecting adversarial attacks with pixel deflection".

    map  = sum_i CAM_{c_i} / 2^i        over the likeliest classes c_1, c_2, ..., scaled to [0, 1]
    p(x) ~ 1 - map(x)                   where a pixel is replaced
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfrobust.errors import InputError
from tfrobust.layers.wavelets import denoised


@keras.saving.register_keras_serializable(package="tfrobust")
class PixelDeflection(keras.layers.Layer):
    """Replaces some pixels of each image by others near them, and denoises it, in training and at inference.

    All pixels are replaced at once: none takes the place of one that was replaced itself. Each call makes new draws.

    Args:
      deflections: how many pixels of an image are replaced; a pixel may be drawn twice.
      window: how far the pixels that come in their place are away at most, in rows and in columns.
      sigma: of the noise that is removed, on the images' scale; 0: none, see `layers.wavelets`.
      seed: of the draws.

    Input and output shape:
      Images [batch, height, width, channels] of known size; or those and maps [batch, height, width, 1] in [0, 1], of
      which a high value keeps a pixel from being replaced.

    Raises:
      InputError: for numbers below 1, or a sigma below 0.

    Example:
      >>> PixelDeflection(deflections=4, window=1, sigma=0)(keras.ops.ones([1, 8, 8, 3])).numpy().min()
      1.0
    """

    def __init__(self, deflections: int = 100, window: int = 10, sigma: float = 0.04, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        if not all(isinstance(number, int) and number >= 1 for number in (deflections, window)):
            raise InputError(f"deflections and window must be whole numbers of at least 1, got {deflections}, {window}")
        if not sigma >= 0:
            raise InputError(f"sigma must be at least 0, got {sigma}")
        self.deflections, self.window, self.sigma, self.seed = deflections, window, sigma, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs):
        images, importance = inputs if isinstance(inputs, (list, tuple)) else (inputs, None)
        deflected = self._deflected(images, importance)
        return denoised(deflected, self.sigma) if self.sigma else deflected

    def _deflected(self, images, importance):
        height, width, channels = images.shape[1:]
        if importance is None:
            importance = ops.zeros_like(images[..., :1])
        likely = ops.log(ops.maximum(1.0 - ops.reshape(importance, [-1, height * width]), 1e-9))
        replaced = keras.random.categorical(likely, self.deflections, dtype="int32", seed=self.seed_generator)
        row = self._near(replaced // width, height)
        column = self._near(replaced % width, width)
        # Which pixel each place shows: its own, but for those that are replaced.
        own = ops.broadcast_to(ops.arange(height * width)[None], ops.shape(likely))
        examples = ops.broadcast_to(ops.arange(ops.shape(images)[0])[:, None], ops.shape(replaced))
        places = ops.reshape(ops.stack([examples, replaced], axis=-1), [-1, 2])
        shown = ops.scatter_update(own, places, ops.reshape(row * width + column, [-1]))
        pixels = ops.reshape(images, [-1, height * width, channels])
        return ops.reshape(ops.take_along_axis(pixels, shown[..., None], axis=1), [-1, height, width, channels])

    def _near(self, places, size):
        """A row or column near each, uniformly among those inside."""
        first, last = ops.maximum(places - self.window, 0), ops.minimum(places + self.window, size - 1)
        draws = keras.random.uniform(ops.shape(places), seed=self.seed_generator)
        return first + ops.cast(ops.floor(draws * ops.cast(last - first + 1, draws.dtype)), "int32")

    def compute_output_shape(self, input_shape):
        return input_shape[0] if isinstance(input_shape[0], (list, tuple)) else input_shape

    def get_config(self):
        options = {"deflections": self.deflections, "window": self.window, "sigma": self.sigma, "seed": self.seed}
        return {**super().get_config(), **options}


@keras.saving.register_keras_serializable(package="tfrobust")
class ActivationMap(keras.layers.Layer):
    """What a network looks at: class activation maps of its likeliest classes, which count 1/2, 1/4, 1/8, ...

    Args:
      size: (height, width) of the map.
      classes: of how many classes, or of all if there are fewer.

    Input shape:
      Logits [batch, classes], and each class's map [batch, rows, columns, classes]: its weights times the features
      before the global average pooling.

    Output shape:
      [batch, height, width, 1], from 0 to 1 in each image; 0 where a map is the same everywhere.

    Example:
      >>> ActivationMap((8, 8))([keras.ops.ones([1, 10]), keras.ops.ones([1, 4, 4, 10])]).shape
      TensorShape([1, 8, 8, 1])
    """

    def __init__(self, size: Sequence[int], classes: int = 5, **kwargs: Any):
        super().__init__(**kwargs)
        self.size, self.classes = tuple(size), classes

    def call(self, inputs):
        logits, maps = inputs
        count = min(self.classes, logits.shape[-1])
        likeliest = ops.top_k(logits, count)[1]
        weights = ops.sum(
            ops.one_hot(likeliest, logits.shape[-1], dtype=maps.dtype)
            * ops.cast(0.5 ** ops.arange(1, count + 1, dtype="float32"), maps.dtype)[None, :, None],
            axis=1,
        )
        weighted = ops.sum(maps * weights[:, None, None], axis=-1, keepdims=True)
        low, high = (part(weighted, axis=(1, 2), keepdims=True) for part in (ops.min, ops.max))
        scaled = ops.divide_no_nan(weighted - low, high - low)
        return ops.image.resize(scaled, self.size, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], *self.size, 1)

    def get_config(self):
        return {**super().get_config(), "size": self.size, "classes": self.classes}
