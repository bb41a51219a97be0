"""Targets: what can be attacked. Each maps images to logits and says what an attacker gets from it."""

import pathlib

from keras import Model

from tfrobust.errors import InputError
from tfrobust.targets.function import FunctionTarget
from tfrobust.targets.keras import KerasTarget, load_model
from tfrobust.targets.saved_model import SavedModelTarget
from tfrobust.targets.target import Target, check_logits
from tfrobust.targets.tflite import TFLiteTarget


def load(path):
    """Opens a `.keras` file, a `.tflite` file or a SavedModel directory, by what the path is.

    Raises:
      InputError: if it is none of them or cannot be read.

    Example:
      >>> load("lenet.tflite").gives
      'scores'
    """
    path = str(path)
    if path.endswith(".keras"):
        return KerasTarget(load_model(path), name=path)
    if path.endswith(".tflite"):
        return TFLiteTarget(path)
    if pathlib.Path(path).is_dir():
        return SavedModelTarget(path)
    raise InputError(f"{path} is none of: a .keras file, a .tflite file, a SavedModel directory")


def as_target(model):
    """A target from a target, a path, a Keras model or a Python function from images to logits."""
    if isinstance(model, Target):
        return model
    if isinstance(model, (str, pathlib.Path)):
        return load(model)
    return KerasTarget(model) if isinstance(model, Model) else FunctionTarget(model)


__all__ = [
    "FunctionTarget",
    "KerasTarget",
    "SavedModelTarget",
    "TFLiteTarget",
    "Target",
    "as_target",
    "check_logits",
    "load",
    "load_model",
]
