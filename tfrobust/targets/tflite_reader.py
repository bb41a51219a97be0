"""Reads TFLite files without running anything, and checks what it has read."""

import os
import pathlib

import numpy as np

from tfrobust.errors import InputError
from tfrobust.targets import tflite_checks
from tfrobust.targets.tflite_file import Operation, Quantization, Tensor, TFLiteFile

_TYPES = ("FLOAT32", "FLOAT16", "FLOAT64", "INT8", "UINT8", "INT16", "INT32", "INT64", "BOOL")
_LARGEST = 2**31  # values of one tensor


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
    tflite_checks.refuse(found)
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
