"""Whether a TFLite file may be given to the interpreter, by what was read of it.

The interpreter trusts what it is given: an index of -1 where a tensor is due ends the process. So one that contradicts
itself, or asks for more memory than there is, is refused before.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfrobust.errors import InputError
from tfrobust.targets.tflite_file import TFLiteFile

_LARGEST_BATCH = 4096  # that a file may be made for
_LARGEST_RESULT = 2**27  # values that an operation may make of one image: 512 MiB of float32
WEIGHTED = {
    "CONV_2D": 2,
    "DEPTHWISE_CONV_2D": 2,
    "FULLY_CONNECTED": 2,
    "TRANSPOSE_CONV": 3,
}  # and how many inputs they need
_SOURCES = ("VAR_HANDLE", "CALL_ONCE")  # which have no inputs
_SIZES = ("strideW", "strideH", "filterWidth", "filterHeight", "dilationWFactor", "dilationHFactor")
_RECURRENT = ("LSTM", "RNN", "SVDF")  # whose inputs may be left out anywhere behind the first
_WEIGHTS = {  # that kernels take, by the type of what is weighted
    "float32": ("float32", "float16", "int8", "uint8"),
    "int8": ("int8",),
    "uint8": ("uint8",),
    "int16": ("int8", "int16"),
}


# By operations whose constants say how much they make: which input says it, and the sizes of the result, from those and the
# sizes of what they are applied to.
_RESULTS: dict[str, tuple[int, Callable[[np.ndarray, np.ndarray], Any]]] = {
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), (1, lambda given, said: given + said.sum(axis=1))),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), (1, lambda given, said: [*said, *given[[0, -1]]])),
    **dict.fromkeys(("FILL", "TRANSPOSE_CONV"), (0, lambda given, said: said)),
    "BROADCAST_TO": (1, lambda given, said: said),
    "TILE": (1, lambda given, said: given * said),
    "SPACE_TO_BATCH_ND": (2, lambda given, said: [*given[1 : len(said) + 1] + said.sum(axis=1), *given[[0, -1]]]),
}


def refuse(file: TFLiteFile) -> None:
    """Raises `InputError` for a file in which something contradicts something else.

    Indices that there are not, results that nothing computes, weights that kernels do not take, sizes without end.
    """
    _check_order(file)
    _check_results(file)


def _check_order(file):
    """That every operation has its inputs when its turn comes, and that the outputs are computed."""
    count = len(file.tensors)
    known = {index for index, tensor in enumerate(file.tensors) if tensor.value is not None} | {file.input}
    if not 0 <= file.input < count:
        raise InputError(f"{file.path}: its input is tensor {file.input}, which there is not")
    if file.tensors[file.input].shape and file.tensors[file.input].shape[0] > _LARGEST_BATCH:
        raise InputError(
            f"{file.path} is made for batches of {file.tensors[file.input].shape[0]:,} images: export it anew"
        )
    for place, operation in enumerate(file.operations):
        for number, index in enumerate(operation.inputs):
            if not (index in known or (index == -1 and _may_be_left_out(operation, number))):
                raise InputError(
                    f"{file.path}: operation {place} ({operation.kind}) reads tensor {index}, which nothing gives"
                )
        if not operation.outputs or not all(0 <= index < count and index not in known for index in operation.outputs):
            raise InputError(f"{file.path}: operation {place} ({operation.kind}) writes tensors {operation.outputs}")
        if not operation.inputs and operation.kind not in _SOURCES:
            raise InputError(f"{file.path}: operation {place} ({operation.kind}) has no inputs")
        if operation.kind in WEIGHTED:
            _check_weights(file, place, operation)
        if operation.options.get("valuesCount", len(operation.inputs)) != len(operation.inputs):
            raise InputError(f"{file.path}: operation {place} ({operation.kind}) has {len(operation.inputs)} inputs")
        for option, value in operation.options.items():
            if (option in _SIZES and value < 1) or (option == "padding" and value not in (0, 1)):
                raise InputError(f"{file.path}: operation {place} ({operation.kind}) has the {option} {value}")
        known.update(operation.outputs)
    missing = [index for index in file.outputs if index not in known]
    if missing:
        raise InputError(f"{file.path}: nothing computes its outputs {missing}")


def _check_results(file):
    """Of a file in which every operation has its inputs, that no constant of a few bytes asks for all of the memory."""
    for place, operation in enumerate(file.operations):
        if operation.kind in _RESULTS:
            _check_result(file, place, operation)


def _check_result(file, place, operation):
    """That it is what its tensor says, and not larger than what runs."""
    place_of_sizes, sizes_of = _RESULTS[operation.kind]
    try:
        said = _said(file, operation.inputs[place_of_sizes])
        if said is None:
            return
        values = float(np.prod(sizes_of(np.array(file.tensors[operation.inputs[0]].shape, float), said)))
    except (ValueError, IndexError) as error:
        raise InputError(f"{file.path}: operation {place} ({operation.kind}) takes sizes of another rank") from error
    images, result = (file.tensors[file.input].shape or (1,))[0], file.tensors[operation.outputs[0]]
    told = result.fixed and operation.kind != "SPACE_TO_BATCH_ND"  # whose result says a batch of 1
    if not 0 <= values <= _LARGEST_RESULT * images or (told and values != np.prod(result.shape, dtype=float)):
        raise InputError(
            f"{file.path}: operation {place} ({operation.kind}) makes {values:,.0f} values, for a result of {result.shape}"
        )


def _said(file, index):
    """The numbers of a constant, or of a stack of constants and of what is computed, for which 1 stands; None if all is computed."""
    maker = file.maker(index)
    if maker is not None and maker.kind == "PACK":
        values = [file.tensors[one].value for one in maker.inputs]
        return np.array([1 if value is None else value.item() for value in values], float)
    value = file.tensors[index].value
    return None if value is None else value.astype(float)


def _may_be_left_out(operation, number):
    """Whether an operation does without an input."""
    if any(word in operation.kind for word in _RECURRENT):
        return number > 0
    return number >= WEIGHTED.get(operation.kind, len(operation.inputs))


def _check_weights(file, place, operation):
    """That there is something to weigh, and weights of a type that its kernels take."""
    if len(operation.inputs) < WEIGHTED[operation.kind]:
        raise InputError(f"{file.path}: operation {place} ({operation.kind}) has {len(operation.inputs)} inputs")
    weighed = file.tensors[operation.inputs[2 if operation.kind == "TRANSPOSE_CONV" else 0]].dtype.name
    weights = file.tensors[operation.inputs[1]].dtype.name
    if weights not in _WEIGHTS.get(weighed, ()):
        raise InputError(f"{file.path}: operation {place} ({operation.kind}) weighs {weighed} by {weights}")
