"""What the convolutional networks share: their layers, each under the name of its place."""

import keras
from keras import layers


def convolution(x, channels, size, strides, name, use_bias=False, kernel_initializer="he_normal"):
    """A convolution that keeps the size, or divides it by the strides."""
    return layers.Conv2D(
        channels, size, strides, padding="same", use_bias=use_bias, kernel_initializer=kernel_initializer, name=name
    )(x)


def pixel_convolution(x, channels, size, name):
    """The first convolution of a network without batch normalization: its initial weights fit 0-255 pixels."""
    initializer = keras.initializers.RandomNormal(stddev=0.01)
    return convolution(x, channels, size, 1, name, use_bias=True, kernel_initializer=initializer)


def normalization(x, name):
    """Batch normalization with the constants of the papers' code."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def normalized_convolution(x, channels, size, strides, name, use_bias=False):
    """A convolution, by default without bias, and its batch normalization."""
    return normalization(convolution(x, channels, size, strides, name, use_bias), f"{name}_norm")
