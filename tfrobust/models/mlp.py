"""The multi-layer perceptron of Deep Defense, table 4."""

import keras
from keras import layers
from numpy.typing import ArrayLike

from tfrobust.models.insert import NOTHING, Blocks, Insert


def mlp(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1 / 255,
) -> keras.Model:
    """Dense layers 500, 150 and `classes` with ReLU between: 469,160 weights for MNIST.

    Arguments and result are those of `lenet`, less the width. There is no block that could be masked.

    Example:
      >>> mlp().count_params()
      469160
    """
    images, x = Blocks(insert).opening(input_shape, mean, std)
    initializer = keras.initializers.RandomNormal(stddev=0.01)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(500, activation="relu", kernel_initializer=initializer, name="fc1")(x)
    x = layers.Dense(150, activation="relu", kernel_initializer=initializer, name="fc2")(x)
    logits = layers.Dense(classes, kernel_initializer=initializer, name="fc3")(x)
    return keras.Model(images, logits, name="mlp")
