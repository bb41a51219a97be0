"""A Keras model, in memory or from a `.keras` file, as a target."""

import pathlib

import keras

from tfrobust import layers
from tfrobust.attacks import Access
from tfrobust.errors import InputError
from tfrobust.targets.target import Target, first_line


class KerasTarget(Target):
    """A Keras model that maps images in [0, 1] to logits.

    Example:
      >>> str(KerasTarget(tfrobust.models.lenet()).access)
      'white-box'
    """

    access = Access.WHITE_BOX

    def __init__(self, model, name=None):
        super().__init__(name or model.name, model.input_shape[1:])
        self.model = model
        self.origin = layers.origin(model)

    def logits(self, images):
        return self.model(images, training=False)


def load_model(path) -> keras.Model:
    """Loads a `.keras` file for inference or further training.

    Raises:
      InputError: for a file that is missing, damaged, or not a model of images.
    """
    if not pathlib.Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # zip, JSON, HDF5 and Keras each have their own
        raise InputError(f"{path} is not a readable Keras model: {first_line(error)}") from error
    if not isinstance(model.input_shape, tuple) or len(model.input_shape) != 4:
        raise InputError(f"{path} does not take images [batch, height, width, channels], but {model.input_shape}")
    if len(model.outputs) != 1:
        raise InputError(f"{path} gives {len(model.outputs)} outputs, expected one: logits [batch, classes]")
    return model
