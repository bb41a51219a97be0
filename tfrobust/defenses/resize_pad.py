"""Randomization: images made smaller and put at a random place. Xie et al., ICLR 2018."""

import keras

from tfrobust.layers import ResizePad
from tfrobust.models.front import put_before


def resize_pad(model: keras.Model, scale: float = 0.9, seed: int = 0) -> keras.Model:
    """A network that sees its images smaller, padded with zeros to their size at a place that is drawn anew each time.

    Args:
      model: a Keras model of images, which stays as it is.
      scale, seed: see `ResizePad`.

    Returns:
      A model from images to what `model` gives. It has gradients, for `expectation(ATTACK, samples)`, and no TFLite file.

    Raises:
      InputError: as `ResizePad`, and for a model of unknown input shape.

    Example:
      >>> defended = resize_pad(tfrobust.models.resnet18())
    """
    return put_before(model, ResizePad(scale, seed, name="resize_pad"), "resize_pad")
