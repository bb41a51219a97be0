"""DenseNet-121 for small images: the stem is one 3x3 convolution without pooling.

Huang et al., CVPR 2017. A 3x3 convolution's output is normalized only where it is read: by each later layer of its
dense block, and by the transition. There the masks stand, as in Random Mask's authors' code: after the first batch
normalization of a layer or of a transition, before its ReLU.
"""

import keras
from keras import layers
from numpy.typing import ArrayLike

from tfrobust.models.convolution import convolution, normalization, normalized_convolution
from tfrobust.models.insert import NOTHING, Blocks, Insert
from tfrobust.models.preactivation import activation

SHALLOW, DEEP = (0, 1, 2), (3, 4)
DEPTHS = (6, 12, 24, 16)


def densenet121(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    width: int = 64,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
) -> keras.Model:
    """Dense blocks of 6, 12, 24 and 16 layers: 6,956,298 trainable weights at full width.

    Args:
      input_shape: (height, width, channels).
      classes: number of logits.
      width: channels of the stem, 64 in the paper; each layer adds half as many.
      insert: what is inserted, see `models.insert`. Block 0 is the stem, masked where the first layer reads it; 1 to 4
        are the dense blocks, each with the transition after it; 0 to 2 are shallow.
      mean, std: preprocessing, see `Standardize`.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> densenet121(width=16, insert=masks.parse("shallow=0.7")).name
      'densenet121'
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    x = convolution(x, blocks.channels(width, 0), 3, 1, "stem_conv")
    for stage, depth in enumerate(DEPTHS, start=1):
        if stage > 1:
            x = _transition(x, blocks, stage - 1)
        for i in range(1, depth + 1):
            x = _layer(x, blocks, blocks.channels(width // 2, stage), stage, i)
    x = layers.ReLU(name="relu")(normalization(x, "norm"))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, layers.Dense(classes, name="logits")(x), name="densenet121")


def _layer(x, blocks, growth, stage, i):
    """A 1x1 and a 3x3 convolution, whose output joins the feature maps."""
    name = f"stage{stage}_layer{i}"
    y = activation(x, blocks, 0 if stage == i == 1 else stage, name, 1)
    y = normalized_convolution(y, 4 * growth, 1, 1, f"{name}_conv1")
    y = convolution(layers.ReLU(name=f"{name}_relu2")(y), growth, 3, 1, f"{name}_conv2")
    return layers.Concatenate(name=f"{name}_concatenate")([x, y])


def _transition(x, blocks, stage):
    """Half the feature maps, at half the size."""
    name = f"stage{stage}_transition"
    x = activation(x, blocks, stage, name, 1)
    x = convolution(x, x.shape[-1] // 2, 1, 1, f"{name}_conv")
    return layers.AveragePooling2D(2, padding="same", name=f"{name}_pool")(x)
