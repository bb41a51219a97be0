"""The ConvNet of Deep Defense, table 4, for CIFAR-10."""

import keras
from keras import layers
from numpy.typing import ArrayLike

from tfrobust.models.convolution import convolution, pixel_convolution
from tfrobust.models.insert import NOTHING, Blocks, Insert

SHALLOW, DEEP = (0, 1), (2,)


def convnet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    width: int = 32,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1 / 255,
) -> keras.Model:
    """Three convolutions of 5x5 with pooling, one of 4x4 and one of 1x1: 145,578 weights.

    On images of 32x32 the 4x4 convolution leaves one pixel; on larger ones the logits are averaged over what it leaves.

    Args:
      input_shape: (height, width, channels).
      classes: number of logits.
      width: channels of the first convolution, 32 in the paper; the third and fourth have twice as many.
      insert: what is inserted, see `models.insert`. Blocks 0 to 2 are the 5x5 convolutions; 0 and 1 are shallow. Masks
        stand right after them.
      mean, std: preprocessing, see `Standardize`; the initial weights fit 0-255 pixels, the default.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> convnet().count_params()
      145578
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    x = pixel_convolution(x, blocks.channels(width, 0), 5, "conv1")
    x = layers.MaxPooling2D(2, padding="same", name="pool1")(blocks.after(x, 0, "conv1"))
    x = layers.ReLU(name="relu1")(x)
    x = convolution(x, blocks.channels(width, 1), 5, 1, "conv2", use_bias=True)
    x = layers.ReLU(name="relu2")(blocks.after(x, 1, "conv2"))
    x = layers.AveragePooling2D(2, padding="same", name="pool2")(x)
    x = convolution(x, blocks.channels(2 * width, 2), 5, 1, "conv3", use_bias=True)
    x = layers.ReLU(name="relu3")(blocks.after(x, 2, "conv3"))
    x = layers.AveragePooling2D(2, padding="same", name="pool3")(x)
    x = layers.Conv2D(2 * width, 4, activation="relu", kernel_initializer="he_normal", name="conv4")(x)
    x = convolution(x, classes, 1, 1, "logits", use_bias=True)
    return keras.Model(images, layers.GlobalAveragePooling2D(name="pool")(x), name="convnet")
