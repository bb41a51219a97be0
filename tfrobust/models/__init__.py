"""The networks. Each builder returns a Keras model from float32 images in [0, 1] to logits."""

import inspect
from typing import Any

import keras

from tfrobust.errors import InputError, unknown
from tfrobust.models import insert, masks
from tfrobust.models.ace import Ace, enhancer, with_ace
from tfrobust.models.ace_toy import ace_toy
from tfrobust.models.alexnet import alexnet
from tfrobust.models.applications import resnet152_imagenet, vgg19_imagenet
from tfrobust.models.convnet import convnet
from tfrobust.models.densenet import densenet121
from tfrobust.models.efficientnet_lite import (
    efficientnet_lite0,
    efficientnet_lite1,
    efficientnet_lite2,
    efficientnet_lite3,
    efficientnet_lite4,
)
from tfrobust.models.interval_bounds import IntervalBounds
from tfrobust.models.lenet import lenet
from tfrobust.models.masks import Masks, parse
from tfrobust.models.mlp import mlp
from tfrobust.models.mnist_cnn import madry_cnn, small_cnn
from tfrobust.models.nin import nin
from tfrobust.models.quantization_aware import is_aware, quantization_aware
from tfrobust.models.resnet import resnet18, resnet18_imagenet, resnet50, resnet50_imagenet
from tfrobust.models.senet import senet18
from tfrobust.models.vgg import vgg11, vgg19
from tfrobust.models.weights import assign, load_weights
from tfrobust.models.wide_resnet import wide_resnet32_4

_SMALL_IMAGES = (
    *(ace_toy, convnet, densenet121, lenet, madry_cnn, mlp, nin, resnet18, resnet50, senet18, small_cnn, vgg11, vgg19),
    wide_resnet32_4,
)
_IMAGENET = (
    alexnet,
    *(efficientnet_lite0, efficientnet_lite1, efficientnet_lite2, efficientnet_lite3, efficientnet_lite4),
    *(resnet18_imagenet, resnet50_imagenet, resnet152_imagenet, vgg19_imagenet),
)
MODELS = {builder.__name__: builder for builder in (*_SMALL_IMAGES, *_IMAGENET)}


def build(name: str, *, masks: str | Masks = "", ace: float | None = None, **arguments: Any) -> keras.Model:
    """Builds a network by its name in `MODELS`.

    Args:
      name: of the network.
      masks: where it is masked, such as "shallow=0.7" or "deep=0.5,kind=same": see `models.masks`, whose `Masks` are
        taken too. It stands for the builder's `insert`.
      ace: the lam of ACE's two-layer module, which then stands behind the preprocessing; None: there is none.
      **arguments: the builder's own.

    Raises:
      InputError: for a name that is not in the table, an argument that the builder does not take, a text that is no
        placement of masks, and masks beside another `insert`.

    Example:
      >>> build("resnet18", width=16, masks="shallow=0.7", ace=10.0).name
      'resnet18'
    """
    known = _parameters(name)
    if masks:
        if "insert" in arguments:
            raise InputError("masks are inserted: give masks or insert, not both")
        arguments["insert"] = parse(masks) if isinstance(masks, str) else masks
    if ace is not None:
        arguments["insert"] = Ace(ace, arguments.get("insert", insert.NOTHING))
    for argument in arguments:
        if argument not in known:
            raise InputError(f"{name} takes no {argument}, but {', '.join(known)}")
    return MODELS[name](**arguments)


def input_shape(name: str) -> tuple[int, int, int]:
    """(height, width, channels) of the images that a network of `MODELS` is for.

    Raises:
      InputError: for a name that is not in the table.
    """
    return _parameters(name)["input_shape"].default


def _parameters(name):
    if name not in MODELS:
        raise InputError(unknown("model", name, MODELS))
    return inspect.signature(MODELS[name]).parameters


__all__ = [  # noqa: PLE0604
    "MODELS",
    "Ace",
    "IntervalBounds",
    "assign",
    "build",
    "enhancer",
    "input_shape",
    "insert",
    "load_weights",
    "is_aware",
    "masks",
    "quantization_aware",
    "with_ace",
    *MODELS,
]
