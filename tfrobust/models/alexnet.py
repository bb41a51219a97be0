"""AlexNet as Caffe's model zoo has it, which Deep Defense fine-tuned: convolutions in two groups, local normalization.

Krizhevsky, Sutskever and Hinton, NIPS 2012; Caffe's bvlc_alexnet: each of the first two ReLUs is normalized, then
pooled. Layers have Caffe's names, and kernels Keras' layout, those of conv1 for RGB.
"""

import keras
from keras import layers
from numpy.typing import ArrayLike

from tfrobust.layers import GroupedConv2D, LocalResponseNormalization
from tfrobust.models.insert import NOTHING, Blocks, Insert

SHALLOW, DEEP = (0, 1), (2, 3, 4)
CONVOLUTIONS = ((96, 11, 1), (256, 5, 2), (384, 3, 1), (384, 3, 2), (256, 3, 2))  # (channels, kernel, groups)
POOLED = (0, 1, 4)
CAFFE_MEAN = (122.679 / 255, 116.669 / 255, 104.007 / 255)  # of ImageNet's pixels, RGB


def alexnet(
    input_shape: tuple[int, int, int] = (227, 227, 3),
    classes: int = 1000,
    width: int = 96,
    insert: Insert = NOTHING,
    mean: ArrayLike = CAFFE_MEAN,
    std: ArrayLike = 1 / 255,
) -> keras.Model:
    """Five convolutions and three dense layers: 60,965,224 weights.

    Args:
      input_shape: (height, width, channels), at least 11 pixels wide and high.
      classes: number of logits.
      width: channels of the first convolution, 96 in the paper; the later layers grow with it, in even numbers.
      insert: what is inserted, see `models.insert`. Blocks 0 to 4 are the convolutions; 0 and 1 are shallow. Masks
        stand between convolution and ReLU.
      mean, std: preprocessing, see `Standardize`; the original takes 0-255 pixels minus the mean of each channel.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> alexnet().count_params()
      60965224
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    for block, (full, size, groups) in enumerate(CONVOLUTIONS):
        channels, number = _even(blocks.channels(full * width // 96, block)), block + 1
        x = _convolution(x, channels, size, groups, block, f"conv{number}")
        x = layers.ReLU(name=f"relu{number}")(blocks.after(x, block, f"conv{number}"))
        if block < 2:
            x = LocalResponseNormalization(name=f"norm{number}")(x)
        if block in POOLED:
            x = _pooling(x, f"pool{number}")
    x = layers.Flatten(name="flatten")(x)
    for number in (6, 7):
        x = _dense(x, 4096 * width // 96, 0.005, 0.1, f"fc{number}")
        x = layers.Dropout(0.5, name=f"drop{number}")(layers.ReLU(name=f"relu{number}")(x))
    return keras.Model(images, _dense(x, classes, 0.01, 0.0, "fc8"), name="alexnet")


def _convolution(x, channels, size, groups, block, name):
    """The initial weights and biases are Caffe's, which fit 0-255 pixels."""
    return GroupedConv2D(
        channels,
        size,
        strides=4 if block == 0 else 1,
        padding="same" if block else "valid",
        groups=groups,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        bias_initializer=keras.initializers.Constant(0.1 if groups > 1 else 0.0),
        name=name,
    )(x)


def _dense(x, units, stddev, bias, name):
    kernel, bias = keras.initializers.RandomNormal(stddev=stddev), keras.initializers.Constant(bias)
    return layers.Dense(units, kernel_initializer=kernel, bias_initializer=bias, name=name)(x)


def _pooling(x, name):
    """Max pooling of 3x3, stride 2. As in Caffe, what is left over at the end counts; after a ReLU zeros may fill it."""
    missing = [(0, 2 * (max(1, -(-(size - 3) // 2) + 1) - 1) + 3 - size) for size in x.shape[1:3]]
    if any(end for _, end in missing):
        x = layers.ZeroPadding2D(missing, name=f"{name}_padding")(x)
    return layers.MaxPooling2D(3, 2, name=name)(x)


def _even(channels):
    return 2 * max(1, round(channels / 2))
