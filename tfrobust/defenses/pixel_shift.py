"""Shifts by whole pixels, which take what an attack on ACE's checkerboard did off the checkerboard.

The attack must not know of the shift: differentiated through, the defense leaves nothing. Measure both.

ACE, ICLR 2019 submission, section 4.3.
"""

import keras

from tfrobust.layers import PixelShift
from tfrobust.models.front import put_before


def pixel_shift(model: keras.Model, pixels: int = 1, direction: str = "right", seed: int = 0) -> keras.Model:
    """A network that sees its images shifted, with zeros on one side.

    Args:
      model: a Keras model of images, which stays as it is.
      pixels, direction, seed: see `PixelShift`. With a random direction it answers differently each time; it is then
        attacked by `expectation(ATTACK, samples)`, and has no TFLite file.

    Returns:
      A model from images to what `model` gives.

    Raises:
      InputError: as `PixelShift`, and for a model of unknown input shape.

    Example:
      >>> defended = pixel_shift(tfrobust.models.build("resnet18", ace=10.0), direction="random")
    """
    return put_before(model, PixelShift(pixels, direction, seed, name="pixel_shift"), "pixel_shift")
