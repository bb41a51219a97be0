"""From what users have, a path, a model or a function, to a target."""

import os.path
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import keras

from tfrobust.errors import InputError
from tfrobust.targets.function import FunctionTarget
from tfrobust.targets.keras import KerasTarget, load_model
from tfrobust.targets.saved_model import SavedModelTarget
from tfrobust.targets.target import Target
from tfrobust.targets.tflite import TFLiteTarget


class Format(NamedTuple):
    """A kind of path that can be opened."""

    description: str
    matches: Callable[[str], bool]
    open: Callable[[str], Target]


FORMATS = (  # the first that matches
    Format("a .keras file", lambda path: path.endswith(".keras"), lambda path: KerasTarget(load_model(path), path)),
    Format("a .tflite file", lambda path: path.endswith(".tflite"), TFLiteTarget),
    Format("a SavedModel directory", os.path.isdir, SavedModelTarget),
)


def load(path: str | pathlib.Path) -> Target:
    """Opens a file or directory in one of `FORMATS`, by what the path is.

    Raises:
      InputError: if it is none of them or cannot be read.

    Example:
      >>> str(load("lenet.tflite").access)
      'score-based'
    """
    path = str(path)
    for known in FORMATS:
        if known.matches(path):
            return known.open(path)
    raise InputError(f"{path} is none of: {', '.join(known.description for known in FORMATS)}")


def as_target(model) -> Target:
    """A target from a target, a path, a Keras model or a Python function from images to logits.

    Raises:
      InputError: for anything else, and for a path that cannot be opened.
    """
    match model:
        case Target():
            return model
        case str() | pathlib.Path():
            return load(model)
        case keras.Model():
            return KerasTarget(model)
        case _ if callable(model):
            return FunctionTarget(model)
    raise InputError(f"expected a target, a path, a Keras model or a function from images to logits, got {model!r}")
