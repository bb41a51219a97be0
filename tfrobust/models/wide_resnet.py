"""WideResNet-32 with width factor 4, in pre-activation form.

Zagoruyko & Komodakis, BMVC 2016. Depth 32 = 6 * 5 + 2 counts the stem, five residual blocks of two convolutions in each
of three stages, and the dense layer. Masks stand as `models.preactivation` says. (The code that Random Mask's authors
released has a network of this name and width in post-activation form.)
"""

import keras
from keras import layers
from numpy.typing import ArrayLike

from tfrobust.models.convolution import convolution, normalization
from tfrobust.models.insert import NOTHING, Blocks, Insert
from tfrobust.models.preactivation import residual_stages

SHALLOW, DEEP = (0, 1), (2, 3)


def wide_resnet32_4(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    width: int = 16,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
    padding: str = "same",
) -> keras.Model:
    """Three stages of 4, 8 and 16 times the stem's channels: 7,399,130 trainable weights at full width.

    Args:
      input_shape: (height, width, channels).
      classes: number of logits.
      width: channels of the stem, 16 in the paper.
      insert: what is inserted, see `models.insert`. Block 0 is the stem, masked where the first residual block reads
        it; 1 to 3 are the stages; 0 and 1 are shallow.
      mean, std: preprocessing, see `Standardize`.
      padding: of convolutions with strides: "same" as TensorFlow's, or "symmetric", alike on all sides.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> wide_resnet32_4(width=4, insert=masks.parse("shallow=0.9")).name
      'wide_resnet32_4'
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    x = convolution(x, blocks.channels(width, 0), 3, 1, "stem_conv")
    x = residual_stages(x, blocks, (5, 5, 5), 4 * width, padding=padding)
    x = layers.ReLU(name="relu")(normalization(x, "norm"))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, layers.Dense(classes, name="logits")(x), name="wide_resnet32_4")
