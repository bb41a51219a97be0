"""Whether the constants of a TFLite file are those of its reference, rounded to its precision: layer by layer.

Rounding errors of a deep network's logits hide a layer that was changed by a few percent; its weights do not. They are compared with
those of the float32 file that the converter makes of the reference, whose layers come in the same order.
"""

from typing import NamedTuple

import numpy as np

from tfrobust.targets import tflite_reader
from tfrobust.targets.tflite_file import Tensor, TFLiteFile

_ROUNDING = 1.0  # of a step: half of one is rounding
_FLOAT32 = 2.0**-22  # what two roundings in float32 leave of a value, as of biases of a billion steps


class Changed(NamedTuple):
    """A constant that is not the reference's, rounded.

    Attributes:
      tensor: the result of the operation that reads it.
      operation: its kind, such as CONV_2D.
      steps: by how much a value differs at most, in steps of its precision, of which half of one is rounding.
    """

    tensor: str
    operation: str
    steps: float


def changed(path, float32_path) -> list[Changed] | None:
    """The constants that differ by more than rounding; None if the two files have no layers in common."""
    file, reference = tflite_reader.read(path), tflite_reader.read(float32_path)
    found, compared = [], 0
    for operation, other in _pairs(file, reference):
        for index, expected_index in zip(operation.inputs, other.inputs):
            steps = _steps(_constant(file, index), _constant(reference, expected_index))
            if steps is not None:
                compared += 1
                if not steps <= _ROUNDING:  # NaN is a change
                    found.append(Changed(file.tensors[operation.outputs[0]].name, operation.kind, steps))
    return found if compared else None


def _pairs(file, reference):
    """Operations that compute the same: of a kind of which both have as many, in their order."""
    for kind in dict.fromkeys(operation.kind for operation in file.operations):
        own, others = ([one for one in each.operations if one.kind == kind] for each in (file, reference))
        if len(own) == len(others):
            yield from zip(own, others)


def _constant(file: TFLiteFile, index: int) -> Tensor | None:
    """The constant that an operation reads, also behind what unpacks it; None of what is computed."""
    if index < 0:
        return None
    maker = next((one for one in file.operations if index in one.outputs), None)
    if maker is not None and maker.kind == "DEQUANTIZE":
        index = maker.inputs[0]
    return file.tensors[index] if file.tensors[index].value is not None else None


def _steps(tensor, expected):
    """The largest difference in steps; None where there is nothing to compare."""
    if tensor is None or expected is None or expected.dtype != np.float32 or tensor.value.size != expected.value.size:
        return None
    wanted = expected.value.reshape(tensor.shape).astype("float64")
    if tensor.quantization is not None:
        scale, zero_point, _ = tensor.quantization
        scale = tensor.quantization.along(scale.astype("float64"), wanted.ndim)
        values = (tensor.value - tensor.quantization.along(zero_point, wanted.ndim)) * scale
    else:
        values = tensor.value.astype("float64")
        smallest = np.finfo(tensor.dtype).smallest_subnormal
        scale = np.maximum(np.abs(wanted) * np.finfo(tensor.dtype).eps, 10 * float(smallest))
    return float(np.max(np.abs(values - wanted) / (scale + _FLOAT32 * np.abs(wanted)), initial=0.0))
