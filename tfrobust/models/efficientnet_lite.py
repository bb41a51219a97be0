"""EfficientNet-Lite0 to Lite4: EfficientNet without squeeze and excitation, with ReLU6, which quantize well.

Tan & Le, ICML 2019; R. Liu's EfficientNet-Lite, TensorFlow's TPU models, 2020. The five differ in three numbers. Width
multiplies the channels of all stages, which are rounded to multiples of 8, but not those of the stem and the head;
depth multiplies the blocks of all stages, rounded up, but for the first and the last.

Layers are called as the arrays of an .npz file of their weights: `stem_conv`, `block1_depthwise_bn`, `logits`. Masks
stand after the batch normalization of the stem and of each depthwise convolution, before the ReLU6.
"""

import math
from typing import NamedTuple

import keras
from keras import layers
from numpy.typing import ArrayLike

from tfrobust.models.convolution import convolution
from tfrobust.models.insert import NOTHING, Blocks, Insert

SHALLOW, DEEP = (0, 1, 2, 3), (4, 5, 6, 7)
MEAN, STD = 127 / 255, 128 / 255
HEAD, MULTIPLE = 1280, 8


class Size(NamedTuple):
    """What the networks differ in."""

    width: float
    depth: float
    resolution: int
    dropout: float


class Stage(NamedTuple):
    """Blocks of one stage in Lite0."""

    blocks: int
    kernel: int
    strides: int
    expansion: int
    channels: int


SIZES = (
    Size(1.0, 1.0, 224, 0.2),
    Size(1.0, 1.1, 240, 0.2),
    Size(1.1, 1.2, 260, 0.3),
    Size(1.2, 1.4, 280, 0.3),
    Size(1.4, 1.8, 300, 0.3),
)
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def efficientnet_lite0(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    width: int = 32,
    insert: Insert = NOTHING,
    mean: ArrayLike = MEAN,
    std: ArrayLike = STD,
) -> keras.Model:
    """Sixteen blocks, images of 224x224: 4,652,008 trainable weights.

    Args:
      input_shape: (height, width, channels).
      classes: number of logits.
      width: channels of the stem, 32 in the original; the stages and the head grow with it.
      insert: what is inserted, see `models.insert`. Block 0 is the stem, 1 to 7 are the stages; 0 to 3, down to an
        eighth of the image's size, are shallow. What changes the number of channels changes that of the stem and of the
        depthwise convolutions; the one of stage 1 has as many as the stem.
      mean, std: preprocessing, see `Standardize`; the defaults are the original's (pixel - 127) / 128.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> efficientnet_lite0(width=8, insert=masks.parse("shallow=0.5")).name
      'efficientnet_lite0'
    """
    return _build(0, input_shape, classes, width, insert, mean, std)


def efficientnet_lite1(
    input_shape: tuple[int, int, int] = (240, 240, 3),
    classes: int = 1000,
    width: int = 32,
    insert: Insert = NOTHING,
    mean: ArrayLike = MEAN,
    std: ArrayLike = STD,
) -> keras.Model:
    """5,416,680 trainable weights, images of 240x240. Arguments and result are those of `efficientnet_lite0`."""
    return _build(1, input_shape, classes, width, insert, mean, std)


def efficientnet_lite2(
    input_shape: tuple[int, int, int] = (260, 260, 3),
    classes: int = 1000,
    width: int = 32,
    insert: Insert = NOTHING,
    mean: ArrayLike = MEAN,
    std: ArrayLike = STD,
) -> keras.Model:
    """6,092,072 trainable weights, images of 260x260. Arguments and result are those of `efficientnet_lite0`."""
    return _build(2, input_shape, classes, width, insert, mean, std)


def efficientnet_lite3(
    input_shape: tuple[int, int, int] = (280, 280, 3),
    classes: int = 1000,
    width: int = 32,
    insert: Insert = NOTHING,
    mean: ArrayLike = MEAN,
    std: ArrayLike = STD,
) -> keras.Model:
    """8,197,096 trainable weights, images of 280x280. Arguments and result are those of `efficientnet_lite0`."""
    return _build(3, input_shape, classes, width, insert, mean, std)


def efficientnet_lite4(
    input_shape: tuple[int, int, int] = (300, 300, 3),
    classes: int = 1000,
    width: int = 32,
    insert: Insert = NOTHING,
    mean: ArrayLike = MEAN,
    std: ArrayLike = STD,
) -> keras.Model:
    """13,006,568 trainable weights, images of 300x300. Arguments and result are those of `efficientnet_lite0`."""
    return _build(4, input_shape, classes, width, insert, mean, std)


def _build(number, input_shape, classes, width, insert, mean, std):
    size, blocks = SIZES[number], Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    x = _normalized(convolution(x, blocks.channels(width, 0), 3, 2, "stem_conv"), "stem")
    x = layers.ReLU(6, name="stem_relu")(blocks.after(x, 0, "stem_bn"))
    x = _stages(x, blocks, size, width / 32)
    x = _normalized(convolution(x, HEAD * width // 32, 1, 1, "head_conv"), "head")
    x = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(6, name="head_relu")(x))
    x = layers.Dropout(size.dropout, name="dropout")(x)
    return keras.Model(images, layers.Dense(classes, name="logits")(x), name=f"efficientnet_lite{number}")


def _stages(x, blocks, size, width):
    """All stages, their blocks numbered throughout."""
    number, channels = 0, x.shape[-1]
    for place, stage in enumerate(STAGES, start=1):
        scaled = 1 < place < len(STAGES)
        after = _rounded(stage.channels * size.width * width)
        for i in range(math.ceil(stage.blocks * size.depth) if scaled else stage.blocks):
            number += 1
            inner = blocks.channels(channels * stage.expansion, place) if stage.expansion > 1 else None
            x = _block(x, blocks, place, stage, inner, after, stage.strides if i == 0 else 1, f"block{number}")
            channels = after
    return x


def _block(x, blocks, place, stage, inner, channels, strides, name):
    """An inverted bottleneck: a 1x1 convolution to more channels, a depthwise one, a 1x1 one to fewer."""
    y = x
    if inner:
        y = _normalized(convolution(y, inner, 1, 1, f"{name}_expand_conv"), f"{name}_expand")
        y = layers.ReLU(6, name=f"{name}_expand_relu")(y)
    y = layers.DepthwiseConv2D(
        stage.kernel,
        strides,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_depthwise_conv",
    )(y)
    y = blocks.after(_normalized(y, f"{name}_depthwise"), place, f"{name}_depthwise_bn")
    y = layers.ReLU(6, name=f"{name}_depthwise_relu")(y)
    y = _normalized(convolution(y, channels, 1, 1, f"{name}_project_conv"), f"{name}_project")
    return layers.Add(name=f"{name}_add")([x, y]) if strides == 1 and x.shape[-1] == channels else y


def _normalized(x, name):
    return layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_bn")(x)


def _rounded(channels):
    """The nearest multiple of 8, but no less than 90 % of the channels."""
    rounded = max(MULTIPLE, int(channels + MULTIPLE / 2) // MULTIPLE * MULTIPLE)
    return rounded + MULTIPLE if rounded < 0.9 * channels else rounded
