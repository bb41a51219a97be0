"""VGG networks for small images: VGG-11 and VGG-19 with batch normalisation and one dense layer.

Simonyan & Zisserman, ICLR 2015; the one dense layer as in Defective Convolutional Networks, appendix C.5. Masks stand
after batch normalisation, before the ReLU.
"""

import keras
from keras import layers

from tfrobust.layers import Standardize
from tfrobust.models.convolution import normalized_convolution
from tfrobust.models.masks import NO_MASKS, MaskedBlocks

SHALLOW, DEEP = (0, 1), (2, 3, 4)


def vgg11(input_shape=(32, 32, 3), classes=10, width=64, masks=NO_MASKS, mean=0.0, std=1.0):
    """Eight 3x3 convolutions in five groups, a pooling after each: 9,231,114 trainable weights at full width.

    Args:
      input_shape: (height, width, channels).
      classes: number of logits.
      width: channels of the first group, 64 in the paper; the next ones have 2, 4, 8 and 8 times as many.
      masks: where it is masked, see `models.masks`. Blocks 0 to 4 are the groups; 0 and 1 are shallow.
      mean, std: preprocessing, see `Standardize`.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> vgg11(width=16).name
      'vgg11'
    """
    return _build("vgg11", (1, 1, 2, 2, 2), input_shape, classes, width, masks, mean, std)


def vgg19(input_shape=(32, 32, 3), classes=10, width=64, masks=NO_MASKS, mean=0.0, std=1.0):
    """Sixteen convolutions: 20,040,522 trainable weights at full width. The shallow blocks are the first four of them.

    Arguments and result are those of `vgg11`.
    """
    return _build("vgg19", (2, 2, 4, 4, 4), input_shape, classes, width, masks, mean, std)


def _build(name, groups, input_shape, classes, width, masks, mean, std):
    placement = MaskedBlocks(masks, SHALLOW, DEEP)
    images = keras.Input(input_shape, name="image")
    x = placement.record(Standardize(mean, std, name="preprocessing")(images))
    for group, convolutions in enumerate(groups):
        channels = placement.channels(width * min(2**group, 8), group)
        for i in range(1, convolutions + 1):
            part = f"group{group}_conv{i}"
            x = normalized_convolution(x, channels, 3, 1, part, use_bias=True)
            x = layers.ReLU(name=f"group{group}_relu{i}")(placement.mask(x, group, part))
        x = layers.MaxPooling2D(2, padding="same", name=f"group{group}_pool")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, layers.Dense(classes, name="logits")(x), name=name)
