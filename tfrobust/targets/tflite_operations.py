"""The operations of TFLite as TensorFlow computes them: forward the integers of a device, backward the real numbers.

A quantized tensor is held as float32 `integer - zero_point`: sums of products of such integers are exact up to 2^24. A
result is multiplied by what the scales leave, rounded to the nearest integer (a half to even, as XNNPACK does) and held
within its type. Backward, rounding and the limits of the type are passed straight through; an activation is not.

A kernel is a function (call, *inputs) -> output. Inputs are tensors, None for one that is left out.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust.errors import InputError
from tfrobust.targets.tflite_file import Operation, Tensor

_PADDING = ("SAME", "VALID")
_ACTIVATIONS = {0: (None, None), 1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0)}  # none, RELU, RELU_N1_TO_1, RELU6


class Call(NamedTuple):
    """An operation and the tensors that it is about.

    Attributes:
      operation: see there.
      inputs: the file's tensors, None for one that is left out.
      output: the file's tensor.
      batch: the size of the batch that the file was made with, for constant shapes that contain it.
    """

    operation: Operation
    inputs: Sequence[Tensor | None]
    output: Tensor
    batch: int

    def option(self, name) -> Any:
        return self.operation.options[name]

    def ratio(self, place=0) -> np.float32:
        """How many steps of the output a step of an input is worth."""
        return step_of(self.inputs[place]) / step_of(self.output)

    @property
    def padding(self):
        return _PADDING[self.option("padding")]

    def window(self, height, width):
        """The options of these names, as TensorFlow has them."""
        return [1, self.option(height), self.option(width), 1]

    def finish(self, value, multiplier=1.0) -> tf.Tensor:
        """The output of a value in steps of `multiplier` times its own, activated."""
        value = _times(value, multiplier)
        activation = self.operation.options.get("fusedActivationFunction", 0)
        if activation not in _ACTIVATIONS:
            raise InputError(
                f"{self.operation.kind} has the fused activation {activation}, of which there is no gradient here"
            )
        value = activate(value, self.output, *_ACTIVATIONS[activation])
        return stored(value, self.output)


def step_of(tensor: Tensor) -> np.float32:
    """What a step of a tensor is worth; 1 for numbers that stand for themselves."""
    return np.float32(1.0) if tensor.quantization is None else tensor.quantization.scale[0]


def real(value, tensor: Tensor) -> tf.Tensor:
    """What a tensor stands for: float32."""
    if tensor.quantization is None:
        return tf.cast(value, tf.float32)
    return _times(value, tensor.quantization.along(tensor.quantization.scale, len(tensor.shape)))


def _times(value, factor):
    return value if np.ndim(factor) == 0 and factor == 1.0 else value * tf.constant(factor, tf.float32)


def activate(value, output: Tensor, low, high):
    """The value, in steps of the output, between two real numbers; None: without a limit."""
    for limit, bound in ((low, tf.maximum), (high, tf.minimum)):
        if limit is not None:
            value = bound(value, np.round(np.float32(limit) / step_of(output)) if output.quantization else limit)
    return value


def stored(value, tensor: Tensor) -> tf.Tensor:
    """What a tensor holds of a value in its steps."""
    if tensor.quantization is None:
        return value
    limits, zero_point = np.iinfo(tensor.dtype), int(tensor.quantization.zero_point[0])
    return _rounded(value, float(limits.min - zero_point), float(limits.max - zero_point))


def _rounded(value, low, high):
    """The nearest integer within limits; backward as if it were the value itself."""

    @tf.custom_gradient
    def rounded(value):
        return tf.clip_by_value(tf.round(value), low, high), lambda upstream: upstream

    return rounded(value)


def constant(tensor: Tensor) -> tf.Tensor:
    """A constant as it is held here."""
    if tensor.quantization is None or tensor.value is None:  # which TensorFlow refuses
        return tf.constant(tensor.value)
    zero_point = tensor.quantization.along(tensor.quantization.zero_point, len(tensor.shape))
    return tf.constant((tensor.value.astype(np.int64) - zero_point).astype(np.float32))


# ---- sums of products ----


def _weighted(call, x, kernel, bias, weigh, place=0):
    """A convolution or a product with a matrix; `place` is that of x among the inputs, the kernel's is 1.

    A float input of integer weights is rounded to 8 bits by each image's own range, as the interpreter does.
    """
    weights = call.inputs[1].quantization
    scales = np.float32(1.0) if weights is None else np.squeeze(weights.scale)  # one for each channel of the output
    if weights is not None and call.inputs[place].quantization is None:
        total = _times(weigh(_dynamically_rounded(x), kernel), scales)
        return call.finish(total if bias is None else total + bias)
    total = weigh(x, kernel)
    multiplier = step_of(call.inputs[place]) * scales / step_of(call.output)  # in XNNPACK's order
    return call.finish(total if bias is None else total + bias, multiplier)


def _dynamically_rounded(x):
    """8 bits between each example's smallest and largest value, 0 included."""
    axes = list(range(1, x.shape.rank))
    low = tf.minimum(tf.reduce_min(x, axes, keepdims=True), 0.0)
    high = tf.maximum(tf.reduce_max(x, axes, keepdims=True), 0.0)
    step = tf.stop_gradient(tf.maximum(high - low, 1e-30) / 255.0)
    return _rounded(x / step, -1e9, 1e9) * step


def conv_2d(call, x, kernel, bias=None):
    def weigh(x, kernel):
        return tf.nn.conv2d(
            x,
            tf.transpose(kernel, [1, 2, 3, 0]),
            call.window("strideH", "strideW"),
            call.padding,
            dilations=call.window("dilationHFactor", "dilationWFactor"),
        )

    return _weighted(call, x, kernel, bias, weigh)


def depthwise_conv_2d(call, x, kernel, bias=None):
    height, width, channels = call.inputs[1].shape[1:]
    multiplier = channels // int(x.shape[-1])

    def weigh(x, kernel):
        return tf.nn.depthwise_conv2d(
            x,
            tf.reshape(kernel, [height, width, channels // multiplier, multiplier]),
            call.window("strideH", "strideW"),
            call.padding,
            dilations=call.window("dilationHFactor", "dilationWFactor")[1:3],
        )

    return _weighted(call, x, kernel, bias, weigh)


def transpose_conv(call, shape, kernel, x, bias=None):
    def weigh(x, kernel):
        return tf.nn.conv2d_transpose(
            x,
            tf.transpose(kernel, [1, 2, 0, 3]),
            _own_batch(call, shape, x),
            call.window("strideH", "strideW"),
            call.padding,
        )

    return _weighted(call, x, kernel, bias, weigh, place=2)


def fully_connected(call, x, kernel, bias=None):
    columns = call.inputs[1].shape[1]
    if x.shape.rank != 2 and not call.option("keepNumDims"):
        x = tf.reshape(x, [-1, columns])
    return _weighted(call, x, kernel, bias, lambda x, kernel: tf.matmul(x, kernel, transpose_b=True))


# ---- one value at a time ----


def _of_real(function):
    """The kernel of a function of real numbers."""

    def kernel(call, *inputs):
        if not inputs[0].dtype.is_floating:
            return function(*inputs)
        found = function(*map(real, inputs, call.inputs))
        return call.finish(found, 1.0 / step_of(call.output))

    return kernel


def relu(low, high):
    """The kernel of a rectifier: no real numbers are made, so that what is not clipped stays as it is."""

    def kernel(call, x):
        return stored(activate(_times(x, call.ratio()), call.output, low, high), call.output)

    return kernel


def rescaled(call, x):
    """QUANTIZE and DEQUANTIZE: in the steps of the output."""
    x = tf.cast(x, tf.float32) if x.dtype.is_floating else x  # of half precision
    return stored(_times(x, call.ratio()), call.output)


# ---- pools and sums ----


def max_pool_2d(call, x):
    pooled = tf.nn.max_pool2d(
        x, call.window("filterHeight", "filterWidth"), call.window("strideH", "strideW"), call.padding
    )
    return call.finish(pooled)


def average_pool_2d(call, x):
    pooled = tf.nn.avg_pool2d(
        x, call.window("filterHeight", "filterWidth"), call.window("strideH", "strideW"), call.padding
    )
    return call.finish(pooled, call.ratio())


def mean(call, x, axes):
    found = tf.reduce_mean(x, axes, keepdims=call.option("keepDims"))
    return call.finish(found, call.ratio())


# ---- form ----


def _own_batch(call, shape, x):
    """A shape whose constant batch is that of x."""
    value = tf.get_static_value(shape)
    if value is None or len(value) < 2 or value[0] != call.batch:
        return shape
    return tf.concat([tf.shape(x)[:1], tf.cast(value[1:], tf.int32)], axis=0)


def reshape(call, x, shape=None):
    shape = call.option("newShape") if shape is None else shape
    return tf.reshape(x, _own_batch(call, tf.constant(shape) if isinstance(shape, np.ndarray) else shape, x))


def strided_slice(call, x, begin, end, strides):
    masks = {f"{name}_mask": call.option(option) for name, option in (
        ("begin", "beginMask"), ("end", "endMask"), ("ellipsis", "ellipsisMask"),
        ("new_axis", "newAxisMask"), ("shrink_axis", "shrinkAxisMask"),
    )}  # fmt: skip
    return tf.strided_slice(x, begin, end, strides, **masks)


def concatenation(call, *parts):
    scaled = [_times(part, call.ratio(place)) for place, part in enumerate(parts)]
    return call.finish(tf.concat(scaled, call.option("axis")))


def gather(call, x, indices):
    return tf.gather(x, indices, axis=call.option("axis"), batch_dims=call.option("batchDims"))


def select(call, condition, yes, no):
    return tf.where(condition, yes, no)


def cast(call, x):
    return tf.cast(x, call.output.dtype)


def softmax(call, x):
    found = tf.nn.softmax(real(x, call.inputs[0]) * call.option("beta"))
    return call.finish(found, 1.0 / step_of(call.output))


KERNELS: dict[str, Callable[..., tf.Tensor]] = {
    "ADD": _of_real(tf.add),
    "AVERAGE_POOL_2D": average_pool_2d,
    "BATCH_TO_SPACE_ND": lambda call, x, block, crops: tf.batch_to_space(x, block, crops),
    "CAST": cast,
    "CONCATENATION": concatenation,
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "DEQUANTIZE": rescaled,
    "FULLY_CONNECTED": fully_connected,
    "GATHER": gather,
    "HARD_SWISH": _of_real(lambda x: x * tf.nn.relu6(x + 3.0) / 6.0),
    "LOGICAL_AND": lambda call, x, y: tf.logical_and(x, y),
    "LOGISTIC": _of_real(tf.sigmoid),
    "MAX_POOL_2D": max_pool_2d,
    "MEAN": mean,
    "MUL": _of_real(tf.multiply),
    "PACK": lambda call, *parts: tf.stack(parts, call.option("axis")),
    "PAD": lambda call, x, paddings: tf.pad(x, paddings),
    "QUANTIZE": rescaled,
    "REDUCE_PROD": lambda call, x, axes: tf.reduce_prod(x, axes, keepdims=call.option("keepDims")),
    "RELU": relu(0.0, None),
    "RELU6": relu(0.0, 6.0),
    "RESHAPE": reshape,
    "SELECT_V2": select,
    "SHAPE": lambda call, x: tf.shape(x),
    "SOFTMAX": softmax,
    "SPACE_TO_BATCH_ND": lambda call, x, block, paddings: tf.space_to_batch(x, block, paddings),
    "STRIDED_SLICE": strided_slice,
    "SUB": _of_real(tf.subtract),
    "TRANSPOSE_CONV": transpose_conv,
}


def run(call: Call, inputs: Sequence[tf.Tensor | None]) -> tf.Tensor:
    """One operation.

    Raises:
      InputError: for a kind that is not in `KERNELS`.
    """
    if call.operation.kind not in KERNELS:
        raise InputError(f"operation {call.operation.kind} has no differentiable form here")
    return KERNELS[call.operation.kind](call, *inputs)
