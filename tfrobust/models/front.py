"""Something in front of a network that stays as it is."""

from collections.abc import Callable

import keras

from tfrobust.errors import InputError


def put_before(model: keras.Model, change: Callable, name: str) -> keras.Model:
    """A model that changes its images and asks another one, whose layers it shares.

    Args:
      model: a Keras model of one batch of images, of any make, whose input shape is known.
      change: a layer, or a function of a symbolic tensor, from images to images of the same shape.
      name: added to the model's name.

    Raises:
      InputError: for a model of another kind.

    Example:
      >>> put_before(tfrobust.models.lenet(), keras.layers.GaussianNoise(0.1), "noise").name
      'lenet_noise'
    """
    images = keras.Input(image_shape(model), name="image")
    return keras.Model(images, model(change(images)), name=f"{model.name}_{name}")


def image_shape(model) -> tuple[int | None, int | None, int]:
    """(height, width, channels) of a functional, sequential or built model.

    Raises:
      InputError: for a model that does not say what it takes, or takes no images.
    """
    try:
        shape = model.input_shape
    except AttributeError:
        shape = None
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise InputError(f"expected a model of images [batch, height, width, channels]; {model.name} takes {shape}")
    return shape[1:]
