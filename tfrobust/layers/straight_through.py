"""A layer or function with another's gradient: for defenses that have no useful gradient of their own.

forward     y = f(x)
backward    dy/dx = db/dx        b the identity, or a differentiable stand-in for f

Backward pass differentiable approximation (Athalye, Carlini and Wagner, ICML 2018, section 4.1).
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfrobust.errors import InputError


@keras.saving.register_keras_serializable(package="tfrobust")
class StraightThrough(keras.layers.Layer):
    """A layer or function whose backward pass goes straight through, or through a stand-in.

    What is attacked with gradients answers as before, bit for bit, but its gradient is not zero where `function` rounds,
    compresses or draws. Weights of `function` keep their own gradients. A model declares so what stands in for its
    gradients: `stand_ins(model)` finds these layers, also in a loaded .keras file.

    Args:
      function: a layer, or a function of a tensor; its output has the shape of `backward`'s, and its type where that is
        of floats.
      backward: a layer or function whose gradient is taken; None: the identity, for a function that keeps the shape.

    Input and output shape:
      Those of `function`. The layer is saved where both arguments can be: layers, and functions that are registered with
      `keras.saving.register_keras_serializable`.

    Raises:
      InputError: for arguments that cannot be called, and for outputs of different shapes.

    Example:
      >>> layer = StraightThrough(keras.ops.round)
      >>> network = keras.Sequential([keras.Input((28, 28, 1)), layer, keras.layers.Flatten(), keras.layers.Dense(10)])
    """

    def __init__(self, function: Callable, backward: Callable | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        _check(function, backward)
        self.function, self.backward = function, backward

    def call(self, inputs):
        return _with_gradient_of(self.backward, self.function, inputs)

    def get_config(self):
        wrapped = {"function": self.function, "backward": self.backward}
        serialized = {name: keras.saving.serialize_keras_object(value) for name, value in wrapped.items()}
        return {**super().get_config(), **serialized}

    @classmethod
    def from_config(cls, config):
        wrapped = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("function", "backward")}
        return cls(**{**config, **wrapped})


def straight_through(function: Callable, backward: Callable | None = None) -> Callable:
    """The function with the gradient of the identity, or of a stand-in: as `StraightThrough`, outside of Keras models.

    Args:
      function, backward: as for `StraightThrough`.

    Returns:
      A function of a tensor. It answers as `function` does.

    Raises:
      InputError: as `StraightThrough`.

    Example:
      >>> logits_fn = lambda images: network(straight_through(compress)(images))
    """
    _check(function, backward)
    return lambda inputs: _with_gradient_of(backward, function, inputs)


def stand_ins(model: keras.Model) -> list[StraightThrough]:
    """The layers of a Keras model, also of models inside and in no order, whose gradients are those of a stand-in."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, StraightThrough)]


def _check(function, backward):
    if not callable(function):
        raise InputError(f"function must be a layer or a function of a tensor, got {function!r}")
    if not (backward is None or callable(backward)):
        raise InputError(f"backward must be a layer or a function of a tensor, or None; got {backward!r}")


def _with_gradient_of(backward, function, inputs):
    # The function does not see the tape of its inputs: some operations have a gradient that raises, and others one that
    # would be added.
    answer = ops.convert_to_tensor(function(ops.stop_gradient(inputs)))
    stand_in = inputs if backward is None else backward(inputs)
    if None not in (*answer.shape[1:], *stand_in.shape[1:]) and tuple(answer.shape[1:]) != tuple(stand_in.shape[1:]):
        raise InputError(
            f"straight through: the function gives {tuple(answer.shape)}, but what its gradient is taken of"
            f" {tuple(stand_in.shape)}: name a `backward` of the same shape"
        )
    # The difference is 0 exactly, so that the answer is the function's to the bit.
    return ops.cast(answer, stand_in.dtype) + (stand_in - ops.stop_gradient(stand_in))
