"""The networks. Each builder returns a Keras model from float32 images in [0, 1] to logits."""

import keras

from tfrobust.errors import InputError
from tfrobust.models import insert, masks
from tfrobust.models.ace_toy import ace_toy
from tfrobust.models.convnet import convnet
from tfrobust.models.densenet import densenet121
from tfrobust.models.lenet import lenet
from tfrobust.models.mlp import mlp
from tfrobust.models.nin import nin
from tfrobust.models.resnet import resnet18, resnet50
from tfrobust.models.senet import senet18
from tfrobust.models.vgg import vgg11, vgg19
from tfrobust.models.wide_resnet import wide_resnet32_4

_BUILDERS = (ace_toy, convnet, densenet121, lenet, mlp, nin, resnet18, resnet50, senet18, vgg11, vgg19, wide_resnet32_4)
MODELS = {builder.__name__: builder for builder in _BUILDERS}


def build(name: str, **arguments) -> keras.Model:
    """Builds a network by its name in `MODELS`; the arguments are the builder's.

    Raises:
      InputError: for a name that is not in the table.

    Example:
      >>> build("resnet18", width=16, insert=masks.parse("shallow=0.7")).name
      'resnet18'
    """
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; there are: {', '.join(sorted(MODELS))}")
    return MODELS[name](**arguments)


__all__ = ["MODELS", "build", "insert", "masks", *MODELS]  # noqa: PLE0604
