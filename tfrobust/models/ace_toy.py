"""The toy model of ACE, table 6, for CIFAR-10; without the module that the paper is about."""

import keras
from keras import layers
from numpy.typing import ArrayLike

from tfrobust.models.insert import NOTHING, Blocks, Insert

SHALLOW, DEEP = (0, 1), (2,)


def ace_toy(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    width: int = 16,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1 / 255,
) -> keras.Model:
    """Three convolutions of 3x3, two of them strided, and two dense layers: 848,426 weights.

    The convolutions do not pad, which gives the table's 1600 inputs of the first dense layer. After that layer there is
    no activation, as in the table.

    Args:
      input_shape: (height, width, channels).
      classes: number of logits.
      width: channels of the first convolution, 16 in the paper; the later layers grow with it.
      insert: what is inserted, see `models.insert`. Blocks 0 to 2 are the convolutions; 0 and 1 are shallow. Masks
        stand between convolution and ReLU.
      mean, std: preprocessing, see `Standardize`; the initial weights fit 0-255 pixels, the default.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> ace_toy().count_params()
      848426
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    for block, strides in enumerate((2, 2, 1)):
        channels, name = blocks.channels(width * 2**block, block), f"conv{block + 1}"
        initializer = "he_normal" if block else keras.initializers.RandomNormal(stddev=0.01)
        x = layers.Conv2D(channels, 3, strides, kernel_initializer=initializer, name=name)(x)
        x = layers.ReLU(name=f"relu{block + 1}")(blocks.after(x, block, name))
    x = layers.Dense(32 * width, name="fc1")(layers.Flatten(name="flatten")(x))
    return keras.Model(images, layers.Dense(classes, name="logits")(x), name="ace_toy")
