"""Weights from files and arrays into networks whose layers have the same names."""

import pathlib

import keras

from tfrobust.errors import InputError
from tfrobust.layers import FixedMask

APPLICATIONS = {"vgg19_imagenet": "VGG19", "resnet152_imagenet": "ResNet152"}


def assign(network: keras.Model, arrays: dict) -> None:
    """Gives a network the arrays named LAYER_VARIABLE, such as conv1_kernel. Masks stay, which follow from a placement.

    Raises:
      InputError: for an array that is missing or of another shape.

    Example:
      >>> assign(efficientnet_lite0(), dict(np.load("efficientnet_lite0.npz")))
    """
    for layer in network.layers:
        if isinstance(layer, FixedMask):
            continue
        for variable in layer.weights:
            name = f"{layer.name}_{variable.name}"
            if name not in arrays:
                raise InputError(f"there is no array {name}; there are {', '.join(sorted(arrays)[:5])}, ...")
            if arrays[name].shape != tuple(variable.shape):
                raise InputError(f"the array {name} has shape {arrays[name].shape}, expected {tuple(variable.shape)}")
            variable.assign(arrays[name])


def load_weights(network: keras.Model, path: str | pathlib.Path) -> None:
    """Gives a network the weights of an .h5 file; those of `keras.applications` take the files of theirs.

    Raises:
      InputError: for a file that is missing, cannot be read, or does not fit.
    """
    if not pathlib.Path(path).is_file():
        raise InputError(f"{path}: no such file")
    saved = network
    if network.name in APPLICATIONS:  # masks and preprocessing come between the layers that the file knows
        shape, classes = network.input_shape[1:], network.output_shape[-1]
        application = vars(keras.applications)[APPLICATIONS[network.name]]
        saved = application(weights=None, input_shape=shape, classes=classes, classifier_activation=None)
    try:
        saved.load_weights(str(path))
    except Exception as error:  # HDF5, zip and Keras each have their own
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{network.name} does not take the weights of {path}: {reason}") from error
    if saved is not network:
        for layer in filter(lambda layer: layer.weights, saved.layers):
            network.get_layer(layer.name).set_weights(layer.get_weights())
