"""SENet-18 for small images: ResNet-18 in pre-activation form, its residual blocks with squeeze and excitation.

Hu et al., CVPR 2018. Masks stand as `models.preactivation` says, so nothing that a masked unit holds is read by a
convolution; the shortcut around a block passes it on.
"""

import keras
from keras import layers
from numpy.typing import ArrayLike

from tfrobust.models.convolution import normalized_convolution
from tfrobust.models.insert import NOTHING, Blocks, Insert
from tfrobust.models.preactivation import residual_stages

SHALLOW, DEEP = (0, 1, 2), (3, 4)
REDUCTION = 16


def senet18(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    width: int = 64,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
    padding: str = "same",
) -> keras.Model:
    """Two residual blocks of two 3x3 convolutions in each of four stages: 11,260,354 trainable weights at full width.

    Args:
      input_shape: (height, width, channels).
      classes: number of logits.
      width: channels of the first stage, 64 in the paper; each later stage has twice as many.
      insert: what is inserted, see `models.insert`. Block 0 is the stem, masked where the first residual block reads
        it; 1 to 4 are the stages; 0 to 2 are shallow.
      mean, std: preprocessing, see `Standardize`.
      padding: of convolutions with strides: "same" as TensorFlow's, or "symmetric", alike on all sides.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> senet18(width=16, insert=masks.parse("shallow=0.7")).name
      'senet18'
    """
    blocks = Blocks(insert, SHALLOW, DEEP)
    images, x = blocks.opening(input_shape, mean, std)
    x = normalized_convolution(x, blocks.channels(width, 0), 3, 1, "stem_conv")
    x = layers.ReLU(name="stem_relu")(x)
    x = residual_stages(x, blocks, (2, 2, 2, 2), width, _squeeze_and_excite, padding)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, layers.Dense(classes, name="logits")(x), name="senet18")


def _squeeze_and_excite(x, name):
    """Each channel times a number in (0, 1) that two dense layers compute from the means of all channels."""
    channels = x.shape[-1]
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    y = layers.Dense(max(1, channels // REDUCTION), activation="relu", name=f"{name}_reduce")(y)
    y = layers.Dense(channels, activation="sigmoid", name=f"{name}_excite")(y)
    return layers.Multiply(name=f"{name}_scale")([x, y])
