"""Layers that round while a network trains as an int8 file rounds when it runs.

Quantization-aware training: Jacob et al., CVPR 2018, sections 2 and 3. What is rounded stays float32, and gradients pass
through the rounding as through the identity, between the ends of the range. The operation is the one that TFLite's converter
takes its scales from. `models.quantization_aware` puts the layers into a network.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfrobust.layers.grouped import GroupedConv2D

_BITS = 8
# The least ends of a range: what is always zero has none, and XNNPACK takes no operation that multiplies by more than 256.
_LEAST_ACTIVATION, _LEAST_WEIGHT = 1e-2, 1e-6


@keras.saving.register_keras_serializable(package="tfrobust")
class FakeQuantization(keras.layers.Layer):
    """Rounds a tensor to the 256 values of int8 within a range, and follows that range in training.

    The range is the moving average of the least and greatest values of the batches, over all devices, widened to hold zero. At
    inference, so while a defense attacks its network, it stays.

    Args:
      momentum: of the moving average; 1 keeps the range, as that of images in [0, 1] is.
      lowest, highest: the range before any batch.

    Input and output shape:
      Any.

    Example:
      >>> FakeQuantization(lowest=0.0, highest=255.0)(keras.ops.array([0.4, 0.6, 300.0])).numpy()
      array([  0.,   1., 255.], dtype=float32)
    """

    def __init__(self, momentum: float = 0.99, lowest: float = -1.0, highest: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        if not lowest <= 0 <= highest or lowest == highest:
            raise ValueError(f"the range must hold zero and something else, got {lowest} to {highest}")
        self.momentum, self._first = momentum, (lowest, highest)
        self._seen: list[list[float]] | None = None  # the range of what went through so far, see `calibrating`

    def build(self, input_shape):
        def end(name, value):
            # All replicas assign the same, of which TensorFlow asks for some aggregation.
            initializer = keras.initializers.Constant(value)
            keywords = {"dtype": "float32", "trainable": False, "autocast": False, "aggregation": "mean"}
            return self.add_weight(shape=(), name=name, initializer=initializer, **keywords)

        self.lowest, self.highest = map(end, ("lowest", "highest"), self._first)

    def call(self, inputs, training=False):
        if training and self.momentum < 1:
            for variable, value in zip((self.lowest, self.highest), _over_replicas(*extremes(inputs)), strict=True):
                variable.assign(self.momentum * variable + (1 - self.momentum) * value)
        if self._seen is not None:
            self._seen.append([float(value) for value in extremes(inputs)])
            return inputs
        return keras.quantizers.fake_quant_with_min_max_vars(inputs, self.lowest, self.highest, num_bits=_BITS)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        lowest, highest = self._first
        return {**super().get_config(), "momentum": self.momentum, "lowest": lowest, "highest": highest}

    @contextlib.contextmanager
    def calibrating(self) -> Iterator[None]:
        """Within it nothing is rounded; what goes through it eagerly then becomes its range, from the least to the greatest."""
        self._seen = []
        try:
            yield
            if self._seen and self.momentum < 1:
                lowest, highest = zip(*self._seen, strict=True)
                self.lowest.assign(min(lowest))
                self.highest.assign(max(highest))
        finally:
            self._seen = None


def extremes(values):
    """The least and the greatest of values and zero, at least 0.01 apart: two float32 scalars."""
    values = ops.cast(values, "float32")
    return ops.minimum(ops.min(values), 0.0), ops.maximum(ops.max(values), _LEAST_ACTIVATION)


def _over_replicas(lowest, highest):
    """The least and the greatest of what all replicas have."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return lowest, highest
    of_each = context.all_gather(tf.stack([[lowest, highest]]), axis=0)
    return tf.reduce_min(of_each[:, 0]), tf.reduce_max(of_each[:, 1])


def fake_quantized(kernel):
    """A kernel [..., channels] rounded to 255 values for each channel, alike on both sides of zero, which int8 files have."""
    greatest = ops.maximum(ops.max(ops.abs(kernel), axis=list(range(kernel.ndim - 1))), _LEAST_WEIGHT)
    return keras.quantizers.fake_quant_with_min_max_vars(
        kernel, -greatest, greatest, num_bits=_BITS, narrow_range=True, axis=-1
    )


@keras.saving.register_keras_serializable(package="tfrobust")
class FakeQuantizedConv2D(keras.layers.Conv2D):
    """`Conv2D` with a kernel that is `fake_quantized`."""

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, fake_quantized(kernel))


@keras.saving.register_keras_serializable(package="tfrobust")
class FakeQuantizedGroupedConv2D(GroupedConv2D, FakeQuantizedConv2D):
    """`GroupedConv2D` with kernels that are `fake_quantized`."""


@keras.saving.register_keras_serializable(package="tfrobust")
class FakeQuantizedDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """`DepthwiseConv2D` with a kernel that is `fake_quantized`, each channel of its own scale."""

    def call(self, inputs):
        height, width, channels, multiplier = self.kernel.shape
        kernel = fake_quantized(ops.reshape(self.kernel, [height, width, channels * multiplier]))
        outputs = ops.depthwise_conv(
            inputs,
            ops.reshape(kernel, [height, width, channels, multiplier]),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return self.activation(ops.add(outputs, self.bias) if self.use_bias else outputs)


@keras.saving.register_keras_serializable(package="tfrobust")
class FakeQuantizedDense(keras.layers.Dense):
    """`Dense` with a kernel that is `fake_quantized`."""

    def call(self, inputs):
        # As a convolution of one pixel: TFLite's converter transposes the kernel of a matrix product, and loses its scales.
        kernel = fake_quantized(ops.reshape(self.kernel, [1, 1, *self.kernel.shape]))
        outputs = ops.conv(ops.reshape(inputs, [-1, 1, 1, inputs.shape[-1]]), kernel, data_format="channels_last")
        outputs = ops.reshape(outputs, [-1, *inputs.shape[1:-1], self.units])
        return self.activation(ops.add(outputs, self.bias) if self.use_bias else outputs)
