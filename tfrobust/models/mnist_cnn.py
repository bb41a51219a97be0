"""The two networks that adversarial training on MNIST is measured with.

Masks stand right after the convolutions, before the ReLU.
"""

import keras
from keras import layers
from numpy.typing import ArrayLike

from tfrobust.models.convolution import convolution
from tfrobust.models.insert import NOTHING, Blocks, Insert


def madry_cnn(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    width: int = 32,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
) -> keras.Model:
    """Two convolutions of 5x5 with pooling and a dense layer of 1,024: 3,274,634 weights.

    Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018, section 5 and the MNIST challenge.

    Args:
      input_shape: (height, width, channels).
      classes: number of logits.
      width: channels of the first convolution, 32 in the paper; the later layers grow with it.
      insert: what is inserted, see `models.insert`. Block 0 is the first convolution and shallow, 1 the second.
      mean, std: preprocessing, see `Standardize`; by default none, as in the paper.

    Returns:
      A model from float32 images [batch, height, width, channels] in [0, 1] to logits [batch, classes].

    Example:
      >>> madry_cnn().count_params()
      3274634
    """
    blocks = Blocks(insert, shallow=(0,), deep=(1,))
    images, x = blocks.opening(input_shape, mean, std)
    for block in range(2):
        x = convolution(x, blocks.channels(width * 2**block, block), 5, 1, f"conv{block + 1}", use_bias=True)
        x = layers.ReLU(name=f"relu{block + 1}")(blocks.after(x, block, f"conv{block + 1}"))
        x = layers.MaxPooling2D(2, padding="same", name=f"pool{block + 1}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(32 * width, activation="relu", kernel_initializer="he_normal", name="fc1")(x)
    return keras.Model(images, layers.Dense(classes, name="fc2")(x), name="madry_cnn")


def small_cnn(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    width: int = 32,
    insert: Insert = NOTHING,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
) -> keras.Model:
    """Four convolutions of 3x3 and two dense layers of 200 with dropout between: 312,202 weights.

    Zhang et al., Theoretically Principled Trade-off between Robustness and Accuracy (TRADES), ICML 2019; theirs for MNIST.

    Arguments and result are those of `madry_cnn`, for images of at least 16 pixels wide and high. Blocks 0 to 3 are the
    convolutions; the two before the first pooling are shallow.

    Example:
      >>> small_cnn().count_params()
      312202
    """
    blocks = Blocks(insert, shallow=(0, 1), deep=(2, 3))
    images, x = blocks.opening(input_shape, mean, std)
    for block in range(4):
        name, channels = f"conv{block + 1}", blocks.channels(width * 2 ** (block // 2), block)
        x = layers.Conv2D(channels, 3, kernel_initializer="he_normal", name=name)(x)
        x = layers.ReLU(name=f"relu{block + 1}")(blocks.after(x, block, name))
        if block % 2:
            x = layers.MaxPooling2D(2, name=f"pool{block // 2 + 1}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(200, activation="relu", kernel_initializer="he_normal", name="fc1")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    x = layers.Dense(200, activation="relu", kernel_initializer="he_normal", name="fc2")(x)
    return keras.Model(images, layers.Dense(classes, name="fc3")(x), name="small_cnn")
