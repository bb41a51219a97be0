"""The networks. Each builder returns a Keras model from float32 images in [0, 1] to logits."""

from tfrobust.errors import InputError
from tfrobust.models.lenet import lenet
from tfrobust.models.mlp import mlp

MODELS = {"lenet": lenet, "mlp": mlp}


def build(name, **arguments):
    """Builds a network by its name in `MODELS`; the arguments are the builder's.

    Raises:
      InputError: for a name that is not in the table.
    """
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; there are: {', '.join(sorted(MODELS))}")
    return MODELS[name](**arguments)


__all__ = ["MODELS", "build", "lenet", "mlp"]
