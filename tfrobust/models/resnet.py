"""Residual networks: ResNet-18 and ResNet-50 as CIFAR-10 implementations build them, and with the stem for ImageNet.

He et al., CVPR 2016. For small images the stem is one 3x3 convolution without pooling; for ImageNet it is one of 7x7 and
max pooling, each with stride 2. Masks stand where Random Mask's authors put them: after batch normalization, before the
addition or the ReLU.
"""

import functools

import keras
from keras import layers
from numpy.typing import ArrayLike

from tfrobust.models.convolution import normalized_convolution
from tfrobust.models.insert import NOTHING, Blocks, Insert

SHALLOW, DEEP = (0, 1, 2), (3, 4)
_centered = functools.partial(normalized_convolution, padding="symmetric")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what PyTorch's networks take


def resnet18(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    width: int = 64,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
    padding: str = "same",
) -> keras.Model:
    """Two blocks of two 3x3 convolutions in each of four stages: 11,173,962 trainable weights at full width.

    Args:
      input_shape: (height, width, channels).
      classes: number of logits.
      width: channels of the first stage, 64 in the paper; each later stage has twice as many.
      insert: what is inserted, see `models.insert`. Block 0 is the stem, 1 to 4 are the stages; 0 to 2 are shallow.
      mean, std: preprocessing, see `Standardize`.
      padding: of convolutions with strides: "same" as TensorFlow's, or "symmetric", alike on all sides, as PyTorch's.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> resnet18(width=16, insert=masks.parse("shallow=0.7")).name
      'resnet18'
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    x = layers.Dense(classes, name="logits")(_features(x, blocks, _basic_block, (2, 2, 2, 2), width, padding))
    return keras.Model(images, x, name="resnet18")


def resnet50(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    width: int = 64,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
    padding: str = "same",
) -> keras.Model:
    """Bottlenecks, 3, 4, 6 and 3 of them: 23,520,842 trainable weights at full width.

    Something may be inserted after the stem and after their 3x3 convolutions.

    Arguments and result are those of `resnet18`.
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    x = layers.Dense(classes, name="logits")(_features(x, blocks, _bottleneck, (3, 4, 6, 3), width, padding))
    return keras.Model(images, x, name="resnet50")


def resnet18_imagenet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    width: int = 64,
    insert: Insert = NOTHING,
    mean: ArrayLike = IMAGENET_MEAN,
    std: ArrayLike = IMAGENET_STD,
) -> keras.Model:
    """ResNet-18 with the stem for ImageNet, a 7x7 convolution and max pooling: 11,689,512 trainable weights.

    Strided convolutions pad alike on all sides, as in PyTorch, whose model Deep Defense fine-tuned.

    Other arguments and the result are those of `resnet18`.
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    x = _stages(_imagenet_stem(x, blocks, width), blocks, _basic_block, (2, 2, 2, 2), width, _centered)
    return keras.Model(images, layers.Dense(classes, name="logits")(x), name="resnet18_imagenet")


def resnet50_imagenet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    width: int = 64,
    insert: Insert = NOTHING,
    mean: ArrayLike = IMAGENET_MEAN,
    std: ArrayLike = IMAGENET_STD,
) -> keras.Model:
    """ResNet-50 with that stem, strides in its 3x3 convolutions: 25,557,032 trainable weights.

    Something may be inserted after the stem and after its 3x3 convolutions. Arguments and result are those of `resnet18`.
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    x = _stages(_imagenet_stem(x, blocks, width), blocks, _bottleneck, (3, 4, 6, 3), width, _centered)
    return keras.Model(images, layers.Dense(classes, name="logits")(x), name="resnet50_imagenet")


def _imagenet_stem(x, blocks, width):
    x = _centered(x, blocks.channels(width, 0), 7, 2, "stem_conv")
    x = layers.ReLU(name="stem_relu")(blocks.after(x, 0, "stem_conv"))
    x = layers.ZeroPadding2D(1, name="stem_pool_padding")(x)  # nothing is below zero
    return layers.MaxPooling2D(3, 2, name="stem_pool")(x)


def _features(x, blocks, add_block, depths, width, padding):
    """The stem for small images, the stages, and the mean over what is left of the image."""
    x = normalized_convolution(x, blocks.channels(width, 0), 3, 1, "stem_conv")
    x = layers.ReLU(name="stem_relu")(blocks.after(x, 0, "stem_conv"))
    convolve = functools.partial(normalized_convolution, padding=padding)
    return _stages(x, blocks, add_block, depths, width, convolve)


def _stages(x, blocks, add_block, depths, width, convolve):
    """Stages of so many residual blocks, and the mean over what is left of the image."""
    for stage, depth in enumerate(depths, start=1):
        channels = blocks.channels(width * 2 ** (stage - 1), stage)
        for i in range(1, depth + 1):
            strides = 2 if stage > 1 and i == 1 else 1
            x = add_block(x, blocks, channels, strides, stage, f"stage{stage}_block{i}", convolve)
    return layers.GlobalAveragePooling2D(name="pool")(x)


def _basic_block(x, blocks, channels, strides, stage, name, convolve):
    y = convolve(x, channels, 3, strides, f"{name}_conv1")
    y = layers.ReLU(name=f"{name}_relu1")(blocks.after(y, stage, f"{name}_conv1"))
    y = convolve(y, channels, 3, 1, f"{name}_conv2")
    y = blocks.after(y, stage, f"{name}_conv2")
    if x.shape[-1] != channels or strides > 1:
        x = convolve(x, channels, 1, strides, f"{name}_shortcut")
        x = blocks.after(x, stage, f"{name}_shortcut")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([x, y]))


def _bottleneck(x, blocks, channels, strides, stage, name, convolve):
    y = convolve(x, channels, 1, 1, f"{name}_conv1")
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = convolve(y, channels, 3, strides, f"{name}_conv2")
    y = layers.ReLU(name=f"{name}_relu2")(blocks.after(y, stage, f"{name}_conv2"))
    y = convolve(y, 4 * channels, 1, 1, f"{name}_conv3")
    if x.shape[-1] != 4 * channels or strides > 1:
        x = convolve(x, 4 * channels, 1, strides, f"{name}_shortcut")
    return layers.ReLU(name=f"{name}_relu3")(layers.Add(name=f"{name}_add")([x, y]))
