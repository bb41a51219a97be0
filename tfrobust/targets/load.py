"""From what users have, a path, a model or a function, to a target."""

import dataclasses
import os.path
import pathlib
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import keras
import numpy as np

from tfrobust.errors import InputError
from tfrobust.targets.function import FunctionTarget
from tfrobust.targets.keras import KerasTarget, read_model
from tfrobust.targets.saved_model import SavedModelTarget
from tfrobust.targets.serving import EndpointConfig, ServingTarget, is_address
from tfrobust.targets.target import Target
from tfrobust.targets.tflite import TFLiteTarget

# What `as_target` takes.
ModelLike: TypeAlias = Target | keras.Model | str | pathlib.Path | Callable[[np.ndarray], np.ndarray]


class Format(NamedTuple):
    """A kind of path or address that can be opened."""

    description: str
    matches: Callable[[str], bool]
    open: Callable[..., Target]


def _keras(path, **how):
    return KerasTarget(read_model(path), path, **how)


def _served(address, *, signature=None, endpoint=None, **how):
    config = endpoint or EndpointConfig()
    return ServingTarget(address, dataclasses.replace(config, signature=signature or config.signature), **how)


FORMATS = (  # the first that matches
    Format("the address of a served model", is_address, _served),
    Format("a .keras or .h5 file", lambda path: path.endswith((".keras", ".h5", ".hdf5")), _keras),
    Format("a .tflite file", lambda path: path.endswith(".tflite"), TFLiteTarget),
    Format("a SavedModel directory", os.path.isdir, SavedModelTarget),
)


def load(
    path: str | pathlib.Path,
    *,
    bounds: tuple[float, float] | str | None = None,
    output_name: str | None = None,
    signature: str | None = None,
    endpoint: EndpointConfig | None = None,
) -> Target:
    """Opens a file, a directory or an address in one of `FORMATS`, by what the path is.

    Args:
      path: of the model, or where it is served: see `ServingTarget`.
      bounds: the scale of the images that it takes, such as (0, 255); None: (0, 1), or what its input's type says.
      output_name: which of several outputs holds the scores; None: logits, else output, else the only one.
      signature: of a SavedModel or a served one; None: serving_default, else the only one.
      endpoint: how a served model is asked; None: as `EndpointConfig()`.

    Raises:
      InputError: if it is none of them, cannot be read, or has no such output or signature.

    Example:
      >>> str(load("lenet.tflite").access)
      'score-based'
      >>> load("efficientnet.keras", bounds=(0, 255)).input_shape
      (224, 224, 3)
    """
    path = str(path)
    known = next((known for known in FORMATS if known.matches(path)), None)
    if known is None:
        raise InputError(f"{path} is none of: {', '.join(known.description for known in FORMATS)}")
    if signature is not None and known.open not in (SavedModelTarget, _served):
        raise InputError(
            f"{path} is {known.description}; only a SavedModel has signatures, got signature={signature!r}"
        )
    chosen = {"signature": signature} if signature is not None else {}
    asked = {"endpoint": endpoint} if known.open is _served else {}
    return known.open(path, bounds=bounds, output_name=output_name, **chosen, **asked)


def as_target(model: ModelLike) -> Target:
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
