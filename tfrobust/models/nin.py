"""The network in network of Deep Defense, table 4, for CIFAR-10.

Lin et al., ICLR 2014: each wide convolution is followed by convolutions of 1x1, and there is no dense layer. As in the
table, without dropout.
"""

import keras
from keras import layers
from numpy.typing import ArrayLike

from tfrobust.models.convolution import convolution, pixel_convolution
from tfrobust.models.insert import NOTHING, Blocks, Insert

SHALLOW, DEEP = (0, 1), (2,)
GROUPS = (((5, 192), (1, 160), (1, 96)), ((5, 192), (1, 192), (1, 192)), ((3, 192), (1, 192)))  # (kernel, channels)


def nin(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    width: int = 192,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1 / 255,
) -> keras.Model:
    """Three groups of convolutions, pooling between: 966,986 weights.

    Args:
      input_shape: (height, width, channels).
      classes: number of logits.
      width: channels of the widest convolutions, 192 in the paper; the others shrink with it.
      insert: what is inserted, see `models.insert`. Blocks 0 to 2 are the groups; 0 and 1 are shallow. Masks stand
        after the 5x5 and 3x3 convolutions, before the ReLU.
      mean, std: preprocessing, see `Standardize`; the initial weights fit 0-255 pixels, the default.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> nin().count_params()
      966986
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    for group, convolutions in enumerate(GROUPS):
        for i, (size, full) in enumerate(convolutions, start=1):
            channels, name = blocks.channels(full * width // 192, group), f"group{group}_conv{i}"
            first = group == 0 and i == 1
            x = pixel_convolution(x, channels, size, name) if first else convolution(x, channels, size, 1, name, True)
            x = layers.ReLU(name=f"group{group}_relu{i}")(blocks.after(x, group, name) if size > 1 else x)
        if group < 2:
            pooling = (layers.MaxPooling2D, layers.AveragePooling2D)[group]
            x = pooling(2, padding="same", name=f"group{group}_pool")(x)
    x = convolution(x, classes, 1, 1, "logits", use_bias=True)
    return keras.Model(images, layers.GlobalAveragePooling2D(name="pool")(x), name="nin")
