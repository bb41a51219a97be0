"""A TFLite file as it is written: tensors, operations and constants, read and checked without running anything.

The interpreter trusts what it is given: an index of -1 where a tensor is due ends the process. So files are read here
first, and one that contradicts itself is refused.
"""

import os
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tfrobust.errors import InputError
from tfrobust.targets import outputs
from tfrobust.targets.bounds import PIXELS, Bounds

_FORM = ("DEQUANTIZE", "QUANTIZE", "RESHAPE")
_TYPES = ("FLOAT32", "FLOAT16", "FLOAT64", "INT8", "UINT8", "INT16", "INT32", "INT64", "BOOL")
_LARGEST = 2**31  # values of one tensor
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


class Quantization(NamedTuple):
    """What the integers of a tensor stand for: scale * (integer - zero_point).

    Attributes:
      scale: float32, one number or one for each index of the axis.
      zero_point: likewise, int64.
      axis: along which they differ.
    """

    scale: np.ndarray
    zero_point: np.ndarray
    axis: int = 0

    def along(self, values: np.ndarray, rank: int) -> np.ndarray:
        """`scale` or `zero_point` so that it broadcasts against a tensor of this rank."""
        if values.size == 1:
            return values.reshape([1] * rank) if rank else values.reshape(())
        return values.reshape([-1 if axis == self.axis else 1 for axis in range(rank)])


class Tensor(NamedTuple):
    """A tensor of a file.

    Attributes:
      name: for messages.
      shape: of the batch that the file was made with; () of scalars and of what it does not say.
      fixed: whether the sizes are those whatever the images are, but for the batch.
      dtype: of what is stored.
      quantization: None for numbers that stand for themselves.
      value: of a constant; None if it is computed.
    """

    name: str
    shape: tuple[int, ...]
    fixed: bool
    dtype: np.dtype
    quantization: Quantization | None
    value: np.ndarray | None

    def stored(self, values: np.ndarray) -> np.ndarray:
        """Numbers as the file holds them; of a quantization with one scale."""
        if not np.issubdtype(self.dtype, np.integer):
            return values.astype(self.dtype)
        scale, zero_point = self.stored_as()
        limits = np.iinfo(self.dtype)
        return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max).astype(self.dtype)

    def real(self, held: np.ndarray) -> np.ndarray:
        """The numbers that held ones stand for, float32; those that stand for themselves likewise."""
        scale, zero_point = self.stored_as()
        return ((held.astype("float32") - zero_point) * scale).astype("float32")

    def stored_as(self) -> tuple[float, int]:
        """The scale and the zero point of integers with one scale; 1 and 0 of what is not quantized."""
        if self.quantization is None:
            return 1.0, 0
        return float(self.quantization.scale[0]), int(self.quantization.zero_point[0])


class Operation(NamedTuple):
    """An operation of a file.

    Attributes:
      kind: as in the schema, such as CONV_2D.
      inputs: indices of tensors; -1 where an optional one is left out.
      outputs: indices of tensors.
      options: of that kind, by their names in the schema.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


class TFLiteFile(NamedTuple):
    """The main graph of a file, in the order in which it runs.

    Attributes:
      path: for messages.
      tensors, operations: see there.
      input, outputs: indices of tensors.
      output_names: of the signature, where it has one, else of the tensors.
    """

    path: str
    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    input: int
    outputs: tuple[int, ...]
    output_names: tuple[str, ...]

    def scores(self, output_name: str | None) -> int:
        """The tensor with the scores: the output of that name, else the one named logits, else the only one.

        Raises:
          InputError: if it is not clear which one is meant.
        """
        named = dict(zip(self.output_names, self.outputs))
        likely = [name for name in named if "logits" in name]
        if output_name is None and len(likely) == 1:
            return named[likely[0]]
        return named[outputs.named(named, output_name, self.path)]

    def maker(self, index: int) -> Operation | None:
        """The operation that computes a tensor, behind what only changes its form; None if nothing does."""
        made = {result: operation for operation in self.operations for result in operation.outputs}
        found = made.get(index)
        while found is not None and found.kind in _FORM and found.inputs:
            found = made.get(found.inputs[0])
        return found

    def own_bounds(self) -> Bounds | None:
        """The bounds of integers that stand for themselves: of pixels; None for any other input."""
        given = self.tensors[self.input]
        return PIXELS if np.issubdtype(given.dtype, np.integer) and given.quantization is None else None

    def quantized_input(self) -> Tensor:
        """The input or, of a file that takes floats and quantizes them first, what it makes of it."""
        users = self.readers(self.input)
        return self.tensors[users[0].outputs[0] if users and users[0].kind == "QUANTIZE" else self.input]

    def readers(self, index: int) -> list[Operation]:
        """The operations that read a tensor."""
        return [operation for operation in self.operations if index in operation.inputs]


def read(path: str | os.PathLike) -> TFLiteFile:
    """Reads and checks a `.tflite` file.

    Raises:
      InputError: for a file that is missing, no TFLite model, or contradicts itself: indices that there are not,
        constants of another size than their shape, results that nothing computes.

    Example:
      >>> file = read("lenet_int8.tflite")
      >>> [operation.kind for operation in file.operations][:2]
      ['QUANTIZE', 'CONV_2D']
    """
    path = pathlib.Path(path)
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'cannot be read'}") from error
    try:
        found = _parse(str(path), contents)
    except InputError:
        raise
    except Exception as error:  # a damaged file leads the parser anywhere
        raise InputError(f"{path} is not a readable TFLite model: {type(error).__name__} while reading it") from error
    _check(found)
    _check_results(found)
    return found


def _parse(path, contents):
    """The main graph of a flatbuffer."""
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise InputError("TFLite files need the LiteRT interpreter: pip install 'tfrobust[litert]'") from error
    if contents[4:8] != b"TFL3":
        raise InputError(f"{path} is not a readable TFLite model: it does not begin as one")
    model = schema.ModelT.InitFromPackedBuf(bytearray(contents), 0)
    graph = model.subgraphs[0]
    names = _names(schema.BuiltinOperator)
    kinds = [_kind(names, code) for code in model.operatorCodes]
    types = {value: np.dtype(name.lower()) for value, name in _names(schema.TensorType).items() if name in _TYPES}
    tensors = tuple(_tensor(path, types, tensor, model.buffers, contents) for tensor in graph.tensors)
    operations = tuple(
        Operation(
            kinds[operation.opcodeIndex], _indices(operation.inputs), _indices(operation.outputs), _options(operation)
        )
        for operation in graph.operators or []
    )
    inputs, outputs = _indices(graph.inputs), _indices(graph.outputs)
    if len(inputs) != 1:
        raise InputError(f"{path} takes {len(inputs)} inputs, expected one batch of images")
    if not outputs:
        raise InputError(f"{path} has no outputs")
    signatures = [one for one in model.signatureDefs or [] if one.subgraphIndex == 0]
    named = {one.tensorIndex: one.name.decode() for one in signatures[0].outputs} if len(signatures) == 1 else {}
    output_names = tuple(
        named.get(index) or (tensors[index].name if 0 <= index < len(tensors) else "") for index in outputs
    )
    return TFLiteFile(path, tensors, operations, inputs[0], outputs, output_names)


def _names(enumeration):
    """The names of an enumeration of the schema, by their values."""
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _kind(names, code):
    """The name of an operation. Files of before 2020 keep it in a byte of its own."""
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return code.customCode.decode() if names.get(number) == "CUSTOM" and code.customCode else names[number]


def _indices(values):
    return tuple(int(value) for value in (values if values is not None else ()))


def _options(operation):
    options = operation.builtinOptions
    return dict(vars(options)) if options is not None else {}


def _tensor(path, types, tensor, buffers, contents):
    name = (tensor.name or b"").decode(errors="replace")
    dtype = types.get(tensor.type)
    if dtype is None:
        raise InputError(f"{path}: tensor {name!r} is of a type that is not supported")
    shape = _indices(tensor.shape)
    if any(size < 0 for size in shape) or np.prod(shape, dtype=float) > _LARGEST:
        raise InputError(f"{path}: tensor {name!r} has the shape {shape}")
    if not 0 <= tensor.buffer < len(buffers):
        raise InputError(f"{path}: tensor {name!r} is kept in a buffer that there is not")
    return Tensor(
        name,
        shape,
        bool(shape) and -1 not in _indices(tensor.shapeSignature)[1:],
        dtype,
        _quantization(path, name, dtype, tensor),
        _value(path, name, shape, dtype, buffers[tensor.buffer], contents),
    )


def _quantization(path, name, dtype, tensor):
    given = tensor.quantization
    if given is None or given.scale is None or not len(given.scale):
        return None
    scale = np.asarray(given.scale, np.float32)
    zero_point = np.zeros(len(scale), np.int64) if given.zeroPoint is None else np.asarray(given.zeroPoint, np.int64)
    axis, shape = int(given.quantizedDimension), _indices(tensor.shape)
    fits = len(scale) == 1 or (0 <= axis < len(shape) and shape[axis] == len(scale))
    limits = np.iinfo(dtype) if np.issubdtype(dtype, np.integer) else np.iinfo(np.int32)
    fits &= bool(((limits.min <= zero_point) & (zero_point <= limits.max)).all())
    if len(zero_point) not in (1, len(scale)) or not fits or not (np.isfinite(scale).all() and (scale > 0).all()):
        raise InputError(f"{path}: tensor {name!r} has scales or zero points that do not fit it")
    return Quantization(scale, zero_point, axis)


def _value(path, name, shape, dtype, buffer, contents):
    """A constant's values, that lie in the buffer or, in a large file, behind the flatbuffer; None if it has none."""
    data = buffer.data
    if data is None and buffer.size > 1:
        data = np.frombuffer(contents, np.uint8)[buffer.offset : buffer.offset + buffer.size]
    if data is None or not len(data):
        return None
    data = np.asarray(data, np.uint8)
    if data.nbytes != np.prod(shape, dtype=int) * dtype.itemsize:
        raise InputError(
            f"{path}: constant {name!r} has {data.nbytes} bytes, which is not its shape {shape} of {dtype}"
        )
    return data.view(dtype).reshape(shape)


def _check(file):
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
