"""VGG-19 and ResNet-152 of `keras.applications`, with its preprocessing inside, masks where asked, and logits at the end.

Simonyan & Zisserman, ICLR 2015; He et al., CVPR 2016. Layers have the names of `keras.applications`. Its files of
weights are taken as they are: `build("vgg19_imagenet", weights="vgg19_weights_tf_dim_ordering_tf_kernels.h5")`.
"""

import pathlib
import re

import keras
from numpy.typing import ArrayLike

from tfrobust.errors import InputError
from tfrobust.layers import ReverseChannels
from tfrobust.models.insert import NOTHING, Blocks, Insert
from tfrobust.models.weights import APPLICATIONS, load_weights

MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)  # RGB; what keras.applications subtracts of BGR pixels


def vgg19_imagenet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    insert: Insert = NOTHING,
    mean: ArrayLike = MEAN,
    std: ArrayLike = 1 / 255,
    weights: str | pathlib.Path | None = None,
) -> keras.Model:
    """Sixteen convolutions without batch normalization and three dense layers: 143,667,240 weights.

    Args:
      input_shape: (height, width, channels), at least 32 pixels wide and high.
      classes: number of logits.
      insert: what is inserted, see `models.insert`. Blocks 0 to 4 are the groups of convolutions; 0 and 1 are shallow.
        Masks stand after each convolution and its ReLU, where they do what they would do before it. The numbers of
        channels are those of the weights.
      mean, std: preprocessing, see `Standardize`; the defaults are those of `keras.applications`, of which channels are
        then reversed.
      weights: an .h5 file of the weights of `keras.applications.VGG19`; None: new weights.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Raises:
      InputError: for weights that cannot be read or do not fit, and for masks that change the number of channels.

    Example:
      >>> vgg19_imagenet(weights="vgg19.weights.h5").name
      'vgg19_imagenet'
    """
    blocks = Blocks(insert, shallow=(0, 1), deep=(2, 3, 4))
    return _build("vgg19_imagenet", blocks, _vgg_block, input_shape, classes, mean, std, weights)


def resnet152_imagenet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    insert: Insert = NOTHING,
    mean: ArrayLike = MEAN,
    std: ArrayLike = 1 / 255,
    weights: str | pathlib.Path | None = None,
) -> keras.Model:
    """Bottlenecks, 3, 8, 36 and 3 of them: 60,268,520 trainable weights.

    Block 0 is the stem, 1 to 4 are the stages; 0 to 2 are shallow. Masks stand after the batch normalization of the stem
    and of each 3x3 convolution, before the ReLU. Other arguments, result and errors are those of `vgg19_imagenet`.
    """
    blocks = Blocks(insert, shallow=(0, 1, 2), deep=(3, 4))
    return _build("resnet152_imagenet", blocks, _resnet_block, input_shape, classes, mean, std, weights)


def _build(name, blocks, block_of, input_shape, classes, mean, std, weights):
    if any(blocks.channels(16, block) != 16 for block in (*blocks.shallow, *blocks.deep)):
        raise InputError(f"masks: the channels of {name} are those of its weights; kind=channel and width= change them")
    images, x = blocks.opening(input_shape, mean, std)
    x = ReverseChannels(name="bgr")(x)
    application = vars(keras.applications)[APPLICATIONS[name]]
    logits = application(weights=None, input_tensor=x, classes=classes, classifier_activation=None).output
    network = keras.Model(images, logits, name=name)

    def call(layer, *arguments, **keywords):
        y, block = layer(*arguments, **keywords), block_of(layer.name)
        return y if block is None else blocks.after(y, block, layer.name)

    if blocks.insert is not NOTHING:
        network = keras.models.clone_model(network, call_function=call)
    if weights is not None:
        load_weights(network, weights)
    return network


def _vgg_block(layer):
    """The block of a layer that something may be inserted after, or None."""
    found = re.fullmatch(r"block(\d)_conv\d", layer)
    return int(found[1]) - 1 if found else None


def _resnet_block(layer):
    found = re.fullmatch(r"conv1_bn|conv(\d)_block\d+_2_bn", layer)
    return found and (int(found[1]) - 1 if found[1] else 0)
