"""A network in which every weight is 1: how many paths lead through it.

What has no weights that mix pixels or channels is left out: normalization, activations, masks, preprocessing, dropout.
All paths of a layer's channels are added up, so one map [1, height, width, 1] stands for all of them, in float64.
"""

import keras
from keras import layers, ops

from tfrobust.errors import InputError
from tfrobust.layers.ace import Enhancer

_TIE = 1e-9  # relative: sums in another order differ by less
_LINEAR = (
    *(layers.AveragePooling2D, layers.GlobalAveragePooling2D, layers.Flatten),
    *(layers.ZeroPadding2D, layers.Cropping2D, layers.UpSampling2D),
)


def count(model: keras.Model, path_weight: float) -> keras.Model:
    """A Keras model from a map of an image's channels [1, height, width, 1] to the number of paths, all in float64.

    Args:
      model: a functional or sequential network of images.
      path_weight: of each path through the F of an ACE module, added up over channels.

    Raises:
      InputError: for a model of another kind, and for a layer that is not known.
    """
    try:
        functional = keras.Model(model.inputs, model.outputs)
    except AttributeError as error:
        raise InputError(f"paths are counted through functional or sequential Keras models, not {model!r}") from error
    return keras.models.clone_model(
        functional,
        input_tensors=[keras.Input((*tensor.shape[1:-1], 1), dtype="float64") for tensor in functional.inputs],
        clone_function=lambda layer: _counted(layer, path_weight),
    )


class _Paths(layers.Layer):
    """A function of maps as a layer."""

    def __init__(self, function):
        super().__init__(dtype="float64")
        self.function = function

    def call(self, maps, **_):  # a batch normalization is called with a mask
        return self.function(maps)


def _counted(layer, path_weight):
    """What a layer is when all of its weights are 1."""
    if isinstance(layer, keras.Model):
        return count(layer, path_weight)
    if isinstance(layer, _LINEAR):
        return layer.__class__.from_config({**layer.get_config(), "dtype": "float64"})
    return _Paths(_function(layer, path_weight))


def _function(layer, path_weight):
    """The function of maps that a layer is, which is the identity for what mixes neither pixels nor channels."""
    if isinstance(layer, Enhancer):
        of_copy, of_images = (float(share) for share in layer.shares())
        return lambda maps: of_copy * path_weight * _copies(maps) + of_images * maps
    for kind, function in _RULES.items():
        if isinstance(layer, kind):
            return lambda maps: function(layer, maps)
    if not isinstance(layer, layers.Layer) or layer.input.shape != layer.output.shape or _mixes(layer):
        raise InputError(f"no paths are counted through {layer.name}, a {type(layer).__name__}")
    return lambda maps: maps


def _mixes(layer):
    """Whether a layer has weights between pixels or channels."""
    return any(weight.name.endswith("kernel") for weight in layer.weights)


def _ones(size):
    return ops.ones([*size, 1, 1], "float64")


def _convolved(layer, maps):
    return ops.conv(maps, _ones(layer.kernel_size), layer.strides, layer.padding, "channels_last", layer.dilation_rate)


def _transposed(maps, size, strides, padding):
    return ops.conv_transpose(maps, _ones(size), strides, padding, data_format="channels_last")


def _copies(maps):
    """The F of both forms of ACE by its shortest paths: from a pixel of C to the 3x3 pixels below and right of it."""
    return _transposed(maps[:, ::2, ::2], (3, 3), 2, "same")[:, : maps.shape[1], : maps.shape[2]]


def _first_maximum(layer, maps):
    """Max pooling that passes gradients to the first of equal maxima, row by row; maps are nowhere negative."""
    windows = ops.image.extract_patches(
        maps, layer.pool_size, layer.strides, padding=layer.padding, data_format="channels_last"
    )
    largest = ops.max(windows, axis=-1, keepdims=True)
    near = ops.cast(windows >= largest * (1 - _TIE), "int32")
    first = ops.cast(near * ops.cast(ops.cumsum(near, axis=-1) == 1, "int32"), "float64")
    return ops.sum(windows * ops.stop_gradient(first), axis=-1, keepdims=True)


_RULES = {
    layers.DepthwiseConv2D: lambda layer, maps: layer.depth_multiplier * _convolved(layer, maps),
    layers.Conv2D: lambda layer, maps: layer.filters / layer.groups * _convolved(layer, maps),
    layers.Conv2DTranspose: lambda layer, maps: (
        layer.filters * _transposed(maps, layer.kernel_size, layer.strides, layer.padding)
    ),
    layers.Dense: lambda layer, maps: layer.units * ops.sum(maps, axis=-1, keepdims=True),
    layers.MaxPooling2D: _first_maximum,
    layers.Multiply: lambda _, maps: max(maps, key=lambda one: one.shape[1] * one.shape[2]),  # a gate counts as 1
    layers.Add: lambda _, maps: sum(maps),
    layers.Concatenate: lambda _, maps: sum(maps),
}
