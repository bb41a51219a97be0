"""Residual networks for small images: ResNet-18 and ResNet-50 as CIFAR-10 implementations build them.

He et al., CVPR 2016. The stem is one 3x3 convolution without pooling. Masks stand where Random Mask's authors put them:
after batch normalization, before the addition or the ReLU.
"""

import keras
from keras import layers

from tfrobust.models.convolution import normalized_convolution
from tfrobust.models.insert import NOTHING, Blocks, Insert

SHALLOW, DEEP = (0, 1, 2), (3, 4)


def resnet18(input_shape=(32, 32, 3), classes=10, width=64, insert: Insert = NOTHING, mean=0.0, std=1.0) -> keras.Model:
    """Two blocks of two 3x3 convolutions in each of four stages: 11,173,962 trainable weights at full width.

    Args:
      input_shape: (height, width, channels).
      classes: number of logits.
      width: channels of the first stage, 64 in the paper; each later stage has twice as many.
      insert: what is inserted, see `models.insert`. Block 0 is the stem, 1 to 4 are the stages; 0 to 2 are shallow.
      mean, std: preprocessing, see `Standardize`.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> resnet18(width=16, insert=masks.parse("shallow=0.7")).name
      'resnet18'
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    x = layers.Dense(classes, name="logits")(_features(x, blocks, _basic_block, (2, 2, 2, 2), width))
    return keras.Model(images, x, name="resnet18")


def resnet50(input_shape=(32, 32, 3), classes=10, width=64, insert: Insert = NOTHING, mean=0.0, std=1.0) -> keras.Model:
    """Bottlenecks, 3, 4, 6 and 3 of them: 23,520,842 trainable weights at full width.

    Something may be inserted after the stem and after their 3x3 convolutions.

    Arguments and result are those of `resnet18`.
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    x = layers.Dense(classes, name="logits")(_features(x, blocks, _bottleneck, (3, 4, 6, 3), width))
    return keras.Model(images, x, name="resnet50")


def _features(x, blocks, add_block, stages, width):
    """The stem, stages of so many residual blocks, and the mean over what is left of the image."""
    x = normalized_convolution(x, blocks.channels(width, 0), 3, 1, "stem_conv")
    x = layers.ReLU(name="stem_relu")(blocks.after(x, 0, "stem_conv"))
    for stage, depth in enumerate(stages, start=1):
        channels = blocks.channels(width * 2 ** (stage - 1), stage)
        for i in range(1, depth + 1):
            strides = 2 if stage > 1 and i == 1 else 1
            x = add_block(x, blocks, channels, strides, stage, f"stage{stage}_block{i}")
    return layers.GlobalAveragePooling2D(name="pool")(x)


def _basic_block(x, blocks, channels, strides, stage, name):
    y = normalized_convolution(x, channels, 3, strides, f"{name}_conv1")
    y = layers.ReLU(name=f"{name}_relu1")(blocks.after(y, stage, f"{name}_conv1"))
    y = normalized_convolution(y, channels, 3, 1, f"{name}_conv2")
    y = blocks.after(y, stage, f"{name}_conv2")
    if x.shape[-1] != channels or strides > 1:
        x = normalized_convolution(x, channels, 1, strides, f"{name}_shortcut")
        x = blocks.after(x, stage, f"{name}_shortcut")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([x, y]))


def _bottleneck(x, blocks, channels, strides, stage, name):
    y = normalized_convolution(x, channels, 1, 1, f"{name}_conv1")
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = normalized_convolution(y, channels, 3, strides, f"{name}_conv2")
    y = layers.ReLU(name=f"{name}_relu2")(blocks.after(y, stage, f"{name}_conv2"))
    y = normalized_convolution(y, 4 * channels, 1, 1, f"{name}_conv3")
    if x.shape[-1] != 4 * channels or strides > 1:
        x = normalized_convolution(x, 4 * channels, 1, strides, f"{name}_shortcut")
    return layers.ReLU(name=f"{name}_relu3")(layers.Add(name=f"{name}_add")([x, y]))
