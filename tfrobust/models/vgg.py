"""VGG networks for small images: VGG-11 and VGG-19 with batch normalization and one dense layer.

Simonyan & Zisserman, ICLR 2015; the one dense layer as in Defective Convolutional Networks, appendix C.5. Masks stand
after batch normalization, before the ReLU.
"""

import keras
from keras import layers
from numpy.typing import ArrayLike

from tfrobust.models.convolution import normalized_convolution
from tfrobust.models.insert import NOTHING, Blocks, Insert

SHALLOW, DEEP = (0, 1), (2, 3, 4)


def vgg11(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    width: int = 64,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
    padding: str = "same",
) -> keras.Model:
    """Eight 3x3 convolutions in five groups, a pooling after each: 9,231,114 trainable weights at full width.

    Args:
      input_shape: (height, width, channels).
      classes: number of logits.
      width: channels of the first group, 64 in the paper; the next ones have 2, 4, 8 and 8 times as many.
      insert: what is inserted, see `models.insert`. Blocks 0 to 4 are the groups; 0 and 1 are shallow.
      mean, std: preprocessing, see `Standardize`.
      padding: "same" or "symmetric", as for the other networks; without strides both are the same.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> vgg11(width=16).name
      'vgg11'
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    x = layers.Dense(classes, name="logits")(_features(x, blocks, (1, 1, 2, 2, 2), width, padding))
    return keras.Model(images, x, name="vgg11")


def vgg19(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    width: int = 64,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
    padding: str = "same",
) -> keras.Model:
    """Sixteen convolutions: 20,040,522 trainable weights at full width. The shallow blocks are the first four of them.

    Arguments and result are those of `vgg11`.
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    x = layers.Dense(classes, name="logits")(_features(x, blocks, (2, 2, 4, 4, 4), width, padding))
    return keras.Model(images, x, name="vgg19")


def _features(x, blocks, groups, width, padding):
    """Groups of so many convolutions, a pooling after each, and the mean over what is left of the image."""
    for group, convolutions in enumerate(groups):
        channels = blocks.channels(width * min(2**group, 8), group)
        for i in range(1, convolutions + 1):
            part = f"group{group}_conv{i}"
            x = normalized_convolution(x, channels, 3, 1, part, use_bias=True, padding=padding)
            x = layers.ReLU(name=f"group{group}_relu{i}")(blocks.after(x, group, part))
        x = layers.MaxPooling2D(2, padding="same", name=f"group{group}_pool")(x)
    return layers.GlobalAveragePooling2D(name="pool")(x)
