"""LeNet as in Deep Defense, table 4."""

import keras
from keras import layers
from numpy.typing import ArrayLike

from tfrobust.models.insert import NOTHING, Blocks, Insert

SHALLOW, DEEP = (0,), (1,)


def lenet(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    width: int = 20,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1 / 255,
) -> keras.Model:
    """Two convolutions of 5x5 with pooling and no activation, then two dense layers: 431,080 weights.

    Args:
      input_shape: (height, width, channels), at least 16 pixels wide and high.
      classes: number of logits.
      width: channels of the first convolution, an even number, 20 in the paper; the later layers grow with it.
      insert: what is inserted, see `models.insert`. Block 0 is the first convolution, 1 the second; masks stand between
        convolution and pooling.
      mean, std: preprocessing, see `Standardize`; the paper's network takes 0-255 pixels minus the mean image.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> lenet().count_params()
      431080
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    initializer = keras.initializers.RandomNormal(stddev=0.01)  # the reference network's; fits 0-255 pixels
    images, x = blocks.opening(input_shape, mean, std)
    x = layers.Conv2D(blocks.channels(width, 0), 5, kernel_initializer=initializer, name="conv1")(x)
    x = layers.MaxPooling2D(2, name="pool1")(blocks.after(x, 0, "conv1"))
    x = layers.Conv2D(blocks.channels(5 * width // 2, 1), 5, kernel_initializer=initializer, name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(blocks.after(x, 1, "conv2"))
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(25 * width, activation="relu", kernel_initializer=initializer, name="fc1")(x)
    logits = layers.Dense(classes, kernel_initializer=initializer, name="fc2")(x)
    return keras.Model(images, logits, name="lenet")
