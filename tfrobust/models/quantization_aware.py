"""Quantization-aware training: a trained network that computes, and goes on learning, as its int8 file will compute.

Jacob et al., CVPR 2018, section 3; Krishnamoorthi, arXiv 1806.08342, section 3.2, whose scheme of one scale per output channel
for weights and one per tensor for activations TFLite has. Batch normalization is folded with its moving statistics: what
is trained on has no batch statistics any more.
"""

import contextlib
import itertools
from collections import Counter, defaultdict

import keras
import numpy as np
from keras import layers
from keras.src.models import Functional  # what keras.Model(inputs, outputs) is; it has no public name

from tfrobust.errors import InputError
from tfrobust.layers import (
    DropBlock,
    FakeQuantization,
    FakeQuantizedConv2D,
    FakeQuantizedDense,
    FakeQuantizedDepthwiseConv2D,
    FakeQuantizedGroupedConv2D,
    FixedMask,
    GroupedConv2D,
    Placement,
    Standardize,
)

_WEIGHTED: dict[type, type[keras.Layer]] = {
    layers.Conv2D: FakeQuantizedConv2D,
    GroupedConv2D: FakeQuantizedGroupedConv2D,
    layers.DepthwiseConv2D: FakeQuantizedDepthwiseConv2D,
    layers.Dense: FakeQuantizedDense,
}
# Their values are some of what they are given, or an average in its range: TFLite has one scale for both.
_KEEPING = (
    *(
        layers.MaxPooling2D,
        layers.AveragePooling2D,
        layers.Flatten,
        layers.Reshape,
        layers.ZeroPadding2D,
        layers.Identity,
    ),
    *(layers.Dropout, layers.SpatialDropout2D, layers.GaussianNoise, DropBlock, FixedMask, Placement),
)
# Their operation ends with a ReLU, if one follows.
_FUSING = (*_WEIGHTED, layers.BatchNormalization, layers.Add, layers.Multiply)
_RANGES = {"sigmoid": (0.0, 255 / 256), "softmax": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}  # TFLite's, always


def quantization_aware(network: keras.Model, images: np.ndarray, momentum: float = 0.99) -> keras.Model:
    """A network in which weights and activations are rounded as in the int8 file that `export.tflite` makes of it.

    Train it like any other, alone or in a defense, and export it with `--quantize=int8`: the file has the scales of the
    training, and needs no calibration. Kernels have a range for each channel, and follow their weights; activations one
    for each tensor, that begins with those of `images` and follows the batches of training. A layer of a kind that is not
    known here computes in float32, in the file as well.

    Args:
      network: a functional model of layers alone, from images in [0, 1] to logits. It stays as it is.
      images: float32 [examples, height, width, channels], a few hundred of the training images.
      momentum: of the moving averages of the ranges.

    Raises:
      InputError: for a network that has fake quantization already, or is no functional model of layers alone.

    Example:
      >>> network = quantization_aware(trained, train.floats(slice(0, 500)))
      >>> defense = tfr.defenses.AdversarialTraining(network, "pgd(linf(8/255), steps=7)")
    """
    if is_aware(network):
        raise InputError(f"{network.name} is quantization-aware already")
    if isinstance(network, keras.Sequential):
        network = keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    if not isinstance(network, Functional) or any(isinstance(layer, keras.Model) for layer in network.layers):
        raise InputError(f"{network.name} is not made of layers alone: make what it holds quantization-aware before")
    rewriting = _Rewriting(network, momentum)
    found = keras.models.clone_model(network, clone_function=rewriting.cloned, call_function=rewriting.called)
    rewriting.assign_weights()
    calibrate(found, images)
    return found


def is_aware(network: keras.Model) -> bool:
    """Whether a network has layers of fake quantization."""
    return bool(_ranges(network))


def calibrate(network: keras.Model, images: np.ndarray, batch_size: int = 100) -> None:
    """Sets the ranges of all activations to those of some images, of the network without rounding."""
    with contextlib.ExitStack() as stack:
        for layer in _ranges(network):
            stack.enter_context(layer.calibrating())
        for start in range(0, len(images), batch_size):
            network(images[start : start + batch_size], training=False)


def _ranges(network):
    return [layer for layer in network._flatten_layers() if isinstance(layer, FakeQuantization)]


class _Rewriting:
    """What becomes of each layer of a network, and of each of its calls."""

    def __init__(self, network, momentum):
        self._momentum = momentum
        self._old = {layer.name: layer for layer in network.operations}  # `images * 2` is one, but no layer
        self._new: dict[str, keras.Layer] = {}
        self._calls: Counter[str] = Counter()
        self._followers = defaultdict(list)
        calls = itertools.chain(*network._nodes_by_depth.values())  # in this network: its layers may have others
        for node in calls:
            for parent in node.parent_nodes:
                self._followers[parent.operation.name].append(node.operation)
        self._norms = {
            name: followers[0] for name, followers in self._followers.items() if _folds(self._old[name], followers)
        }
        self._folded = {norm.name for norm in self._norms.values()}

    def cloned(self, layer):
        """The layer that stands in the place of one, the same for all its calls."""
        if layer.name not in self._new:
            self._new[layer.name] = self._clone(layer)
        return self._new[layer.name]

    def _clone(self, layer):
        if not isinstance(layer, keras.Layer):
            return layer
        config = layer.get_config()
        if type(layer) in _WEIGHTED:
            if not _fuses_activation(layer):
                config["activation"] = "linear"
            config["use_bias"] = layer.use_bias or layer.name in self._norms
            new = _WEIGHTED[type(layer)].from_config(config)
        elif _is_affine(layer) and layer.name not in self._folded:
            new = FakeQuantizedDepthwiseConv2D(1, name=layer.name, dtype=layer.dtype_policy)
        elif isinstance(layer, Standardize):
            new = Standardize(layer.mean, 1.0, name=layer.name, dtype=layer.dtype_policy)
        else:
            new = type(layer).from_config(config)
        new.trainable = layer.trainable
        return new

    def called(self, layer, *args, **kwargs):
        """What a call of such a layer gives."""
        args, name, old = keras.tree.map_structure(_as_levels, args), layer.name, self._old[layer.name]
        if isinstance(old, layers.BatchNormalization):
            kwargs = {}  # what stands in its place takes no mask
        if isinstance(old, (layers.Add, layers.Multiply)):
            args = (self._two(old, args[0]),)
        outputs = args[0] if name in self._folded else layer(*args, **kwargs)
        if isinstance(old, Standardize):
            return self._standardized(args[0], outputs, old)
        if type(old) in _WEIGHTED and not _fuses_activation(old):
            outputs = self._range(f"{name}_linear")(outputs)
            outputs = layers.Activation(old.activation, name=f"{name}_activation", dtype=old.dtype_policy)(outputs)
        return self._range(name, _RANGES.get(_activation(old)))(outputs) if self._has_scale(old) else outputs

    def _two(self, layer, tensors):
        """The tensors of a sum or product as two, since a TFLite file's operation takes no more."""
        first, *others, last = tensors
        for other in others:
            first = self._range(f"{layer.name}_partial")(type(layer)(dtype=layer.dtype_policy)([first, other]))
        return [first, last]

    def _standardized(self, images, centered, layer):
        """(images - mean) / std in its two operations, each with a range, where they are there at all."""
        outputs = self._range(f"{layer.name}_centered")(centered) if np.any(layer.mean) else images
        if np.any(layer.std != 1):
            outputs = Standardize(0.0, layer.std, name=f"{layer.name}_scaled", dtype=layer.dtype_policy)(outputs)
            outputs = self._range(layer.name)(outputs)
        return outputs

    def assign_weights(self):
        """Gives the new layers what the old ones have learned, with batch normalization folded in."""
        for name, new in self._new.items():
            old = self._old[name]
            if name in self._folded or not isinstance(old, keras.Layer):
                continue
            if name in self._norms:
                factor, offset = _affine(self._norms[name])
                kernel, *bias = old.get_weights()
                by_channel = kernel.shape[-2:] if isinstance(old, layers.DepthwiseConv2D) else [-1]
                new.set_weights([kernel * factor.reshape(by_channel), sum(bias) * factor + offset])
            elif _is_affine(old):
                factor, offset = _affine(old)
                new.set_weights([factor.reshape([1, 1, -1, 1]), offset])
            else:
                new.set_weights(old.get_weights())

    def _has_scale(self, layer):
        """Whether its outputs are a tensor of the file with a scale of its own."""
        followers = self._followers[layer.name]
        fused = type(layer) in _FUSING and len(followers) == 1 and _rectifies(followers[0])
        return not (isinstance(layer, _KEEPING) or layer.name in self._norms or fused)

    def _range(self, name, fixed=None):
        """A new one for each call of a layer."""
        lowest, highest = fixed or (-1.0, 1.0)
        self._calls[name] += 1
        name = f"{name}_range" if self._calls[name] == 1 else f"{name}_range_{self._calls[name]}"
        return FakeQuantization(1.0 if fixed else self._momentum, lowest, highest, name=name)


def _as_levels(tensor):
    """An image as the file takes it: of 256 levels, which is what its pixels have. What else is given stays as it is."""
    if not (keras.utils.is_keras_tensor(tensor) and isinstance(tensor._keras_history.operation, layers.InputLayer)):
        return tensor
    return FakeQuantization(1.0, 0.0, 1.0)(tensor)


def _folds(layer, followers):
    """Whether batch normalization, and nothing else, follows a layer without activation."""
    if type(layer) not in _WEIGHTED or _activation(layer) != "linear" or len(followers) != 1:
        return False
    norm = followers[0]
    return isinstance(norm, layers.BatchNormalization) and norm.axis in (-1, layer.output.ndim - 1)


def _is_affine(layer):
    """Whether a layer is batch normalization of channels that come last: a convolution of each by one number."""
    return isinstance(layer, layers.BatchNormalization) and layer.output.ndim == 4 and layer.axis in (-1, 3)


def _affine(norm):
    """What batch normalization multiplies by at inference, and what it then adds: float32 [channels], each."""
    mean, variance = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    factor = (norm.gamma.numpy() if norm.scale else 1.0) / np.sqrt(variance + norm.epsilon)
    return factor, (norm.beta.numpy() if norm.center else 0.0) - mean * factor


def _activation(layer):
    """The name of a layer's activation function; "linear" for layers without one."""
    return keras.activations.serialize(getattr(layer, "activation", None) or keras.activations.linear)


def _fuses_activation(layer):
    """Whether the layer's operation ends with its activation, in a TFLite file."""
    return _activation(layer) in ("linear", "relu", "relu6")


def _rectifies(layer):
    """Whether it is a ReLU or ReLU6, which end the operation before them."""
    if isinstance(layer, layers.ReLU):
        return layer.max_value in (None, 6) and not layer.negative_slope and not layer.threshold
    return isinstance(layer, layers.Activation) and _activation(layer) in ("relu", "relu6")
