"""Residual networks for small images: ResNet-18 and ResNet-50 as CIFAR-10 implementations build them.

He et al., CVPR 2016. The stem is one 3x3 convolution without pooling. Masks stand where Random Mask's authors put them:
after batch normalisation, before the addition or the ReLU.
"""

import keras
from keras import layers

from tfrobust.layers import Standardize
from tfrobust.models.convolution import normalized_convolution
from tfrobust.models.masks import NO_MASKS, MaskedBlocks

SHALLOW, DEEP = (0, 1, 2), (3, 4)


def resnet18(input_shape=(32, 32, 3), classes=10, width=64, masks=NO_MASKS, mean=0.0, std=1.0):
    """Two blocks of two 3x3 convolutions in each of four stages: 11,173,962 trainable weights at full width.

    Args:
      input_shape: (height, width, channels).
      classes: number of logits.
      width: channels of the first stage, 64 in the paper; each later stage has twice as many.
      masks: where it is masked, see `models.masks`. Block 0 is the stem, 1 to 4 are the stages; 0 to 2 are shallow.
      mean, std: preprocessing, see `Standardize`.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> resnet18(width=16, masks=masks.parse("shallow=0.7")).name
      'resnet18'
    """
    return _build("resnet18", _Network.basic_block, (2, 2, 2, 2), input_shape, classes, width, masks, mean, std)


def resnet50(input_shape=(32, 32, 3), classes=10, width=64, masks=NO_MASKS, mean=0.0, std=1.0):
    """Bottlenecks, 3, 4, 6 and 3 of them: 23,520,842 trainable weights at full width. Their 3x3 convolutions are masked.

    Arguments and result are those of `resnet18`.
    """
    return _build("resnet50", _Network.bottleneck, (3, 4, 6, 3), input_shape, classes, width, masks, mean, std)


def _build(name, add_block, stages, input_shape, classes, width, masks, mean, std):
    network = _Network(MaskedBlocks(masks, SHALLOW, DEEP))
    images = keras.Input(input_shape, name="image")
    x = network.placement.record(Standardize(mean, std, name="preprocessing")(images))
    x = network.stem(x, width)
    for stage, blocks in enumerate(stages, start=1):
        for block in range(1, blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = add_block(network, x, width * 2 ** (stage - 1), strides, stage, f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, layers.Dense(classes, name="logits")(x), name=name)


class _Network:
    """The parts of a residual network, each knowing the block it belongs to."""

    def __init__(self, placement):
        self.placement = placement

    def stem(self, x, channels):
        x = normalized_convolution(x, self.placement.channels(channels, 0), 3, 1, "stem_conv")
        return layers.ReLU(name="stem_relu")(self.placement.mask(x, 0, "stem_conv"))

    def basic_block(self, x, channels, strides, stage, name):
        channels = self.placement.channels(channels, stage)
        y = normalized_convolution(x, channels, 3, strides, f"{name}_conv1")
        y = layers.ReLU(name=f"{name}_relu1")(self.placement.mask(y, stage, f"{name}_conv1"))
        y = normalized_convolution(y, channels, 3, 1, f"{name}_conv2")
        y = self.placement.mask(y, stage, f"{name}_conv2")
        if x.shape[-1] != channels or strides > 1:
            x = normalized_convolution(x, channels, 1, strides, f"{name}_shortcut")
            x = self.placement.mask(x, stage, f"{name}_shortcut")
        return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([x, y]))

    def bottleneck(self, x, channels, strides, stage, name):
        channels = self.placement.channels(channels, stage)
        y = normalized_convolution(x, channels, 1, 1, f"{name}_conv1")
        y = layers.ReLU(name=f"{name}_relu1")(y)
        y = normalized_convolution(y, channels, 3, strides, f"{name}_conv2")
        y = layers.ReLU(name=f"{name}_relu2")(self.placement.mask(y, stage, f"{name}_conv2"))
        y = normalized_convolution(y, 4 * channels, 1, 1, f"{name}_conv3")
        if x.shape[-1] != 4 * channels or strides > 1:
            x = normalized_convolution(x, 4 * channels, 1, strides, f"{name}_shortcut")
        return layers.ReLU(name=f"{name}_relu3")(layers.Add(name=f"{name}_add")([x, y]))
