"""What the convolutional networks share: their layers, each under the name of its place."""

import keras
from keras import layers

from tfrobust.errors import InputError

PADDINGS = ("same", "symmetric")


def convolution(x, channels, size, strides, name, use_bias=False, kernel_initializer="he_normal", padding="same"):
    """A convolution that keeps the size, or divides it by the strides.

    With strides, padding "same" is TensorFlow's, which at even sizes pads on the right and at the bottom alone;
    "symmetric" pads alike on all sides, as PyTorch does.

    Raises:
      InputError: for another padding.
    """
    if padding not in PADDINGS:
        raise InputError(f"padding must be one of {', '.join(PADDINGS)}; got {padding!r}")
    if padding == "symmetric" and strides > 1 and size > 1:
        x, padding = layers.ZeroPadding2D(size // 2, name=f"{name}_padding")(x), "valid"
    else:
        padding = "same"
    return layers.Conv2D(
        channels, size, strides, padding, use_bias=use_bias, kernel_initializer=kernel_initializer, name=name
    )(x)


def pixel_convolution(x, channels, size, name):
    """The first convolution of a network without batch normalization: its initial weights fit 0-255 pixels."""
    initializer = keras.initializers.RandomNormal(stddev=0.01)
    return convolution(x, channels, size, 1, name, use_bias=True, kernel_initializer=initializer)


def normalization(x, name):
    """Batch normalization with the constants of the papers' code."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def normalized_convolution(x, channels, size, strides, name, use_bias=False, padding="same"):
    """A convolution, by default without bias, and its batch normalization."""
    return normalization(convolution(x, channels, size, strides, name, use_bias, padding=padding), f"{name}_norm")
