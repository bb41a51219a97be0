"""Layers on intervals: what a layer can answer when all that is known of its input is a lower and an upper bound."""

import keras
from keras import layers, ops

from tfrobust.errors import InputError
from tfrobust.layers.fixed_mask import FixedMask, FixedMaskConv2D, Placement
from tfrobust.layers.grouped import GroupedConv2D
from tfrobust.layers.preprocessing import Standardize

_AFFINE = (layers.Conv2D, GroupedConv2D, FixedMaskConv2D, layers.DepthwiseConv2D, layers.Dense)
# Each value of their output depends on one of the input alone, and grows or falls with it.
_ELEMENTWISE = (layers.BatchNormalization, layers.Rescaling, layers.Normalization, Standardize, FixedMask)
# No value of their output falls when one of the input grows; of dropout and noise, as they are at inference.
_INCREASING = (
    *(layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Identity, Placement),
    *(layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D),
    *(layers.Flatten, layers.Reshape, layers.Permute, layers.ZeroPadding2D, layers.Cropping2D, layers.UpSampling2D),
    *(layers.Add, layers.Average, layers.Maximum, layers.Minimum, layers.Concatenate),
    *(layers.Dropout, layers.SpatialDropout2D, layers.GaussianNoise, layers.GaussianDropout),
)
_INCREASING_FUNCTIONS = frozenset(
    [
        "linear",
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "selu",
        "celu",
        "sigmoid",
        "hard_sigmoid",
        "log_sigmoid",
        "tanh",
        "hard_tanh",
        "softplus",
        "softsign",
        "exponential",
    ]
)


class Interval(keras.layers.Layer):
    """A layer at inference, on intervals (interval bound propagation: Gowal et al., arXiv 1810.12715, eq. 6).

    Takes and returns tensors [batch, 2, ...], the lower and the upper bounds: float32. The weights are the layer's own, so
    that what follows from the bounds trains it.

    Args:
      layer: a layer that is built. Convolutions and dense layers, elementwise ones, and such as pooling and sums, whose
        output falls with none of their inputs.

    Raises:
      InputError: for a layer of another kind.

    Example:
      >>> Interval(keras.layers.ReLU())(keras.ops.array([[[-1.0, 1.0], [2.0, 3.0]]])).numpy()[0]
      array([[0., 1.],
             [2., 3.]], dtype=float32)
    """

    def __init__(self, layer):
        super().__init__(name=f"{layer.name}_interval", dtype=layer.dtype_policy)
        known = type(layer) in (*_AFFINE, *_ELEMENTWISE, *_INCREASING) or isinstance(layer, layers.Activation)
        if not known:
            raise InputError(
                f"no bounds are known for {layer.name}, a {type(layer).__name__}: interval bounds take convolutions, dense "
                f"layers, batch normalization, pooling, sums and activations that grow with their input"
            )
        activation = getattr(layer, "activation", None)
        if activation is not None and keras.activations.serialize(activation) not in _INCREASING_FUNCTIONS:
            raise InputError(f"no bounds are known for {layer.name}: its activation does not grow with its input")
        self.layer = layer

    def call(self, inputs):
        if isinstance(self.layer, _AFFINE):
            return self._affine(inputs)
        outputs = self._each(self.layer, inputs)
        if isinstance(self.layer, _ELEMENTWISE):
            outputs = ops.stack([ops.min(outputs, axis=1), ops.max(outputs, axis=1)], axis=1)
        return outputs

    def _affine(self, inputs):
        lower, upper = inputs[:, 0], inputs[:, 1]
        kernel = self.layer.kernel
        center = self._product((lower + upper) / 2.0, kernel)
        reach = self._product((upper - lower) / 2.0, ops.abs(kernel))
        if self.layer.use_bias:
            center = center + self.layer.bias
        bounds = ops.stack([center - reach, center + reach], axis=1)
        if self.layer.activation is not None:
            bounds = self.layer.activation(bounds)
        return self._each(self.layer.mask, bounds) if isinstance(self.layer, FixedMaskConv2D) else bounds

    def _product(self, inputs, kernel):
        layer = self.layer
        if isinstance(layer, layers.Dense):
            return ops.matmul(inputs, kernel)
        if isinstance(layer, layers.DepthwiseConv2D):
            return ops.depthwise_conv(
                inputs, kernel, layer.strides, layer.padding, layer.data_format, layer.dilation_rate
            )
        return layer.convolution_op(inputs, kernel)

    def _each(self, layer, inputs):
        """A layer on the lower bounds and on the upper ones, as examples of one batch; of several tensors, each so."""
        merged = keras.tree.map_structure(lambda x: ops.reshape(x, [-1, *x.shape[2:]]), inputs)
        outputs = layer(merged)
        return ops.reshape(outputs, [-1, 2, *outputs.shape[1:]])
