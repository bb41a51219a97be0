"""Where a quantized file leaves its float32 relative: tensor by tensor, in the order in which they are computed.

The converter keeps the names of tensors whatever the precision, so that each is compared with its own. Both files are run by
LiteRT's own kernels, which keep every tensor; XNNPACK does not.
"""

from typing import NamedTuple

import numpy as np

from export import conformance
from tfrobust.targets import tflite_reader


class Departure(NamedTuple):
    """Of one tensor from that of the float32 file.

    Attributes:
      tensor: its name.
      operation: what computes it, such as CONV_2D.
      relative_rms: the root mean square of the difference over the standard deviation, on the images.
      growth: how much larger that is than the largest of what the operation reads; what is added here.
    """

    tensor: str
    operation: str
    relative_rms: float
    growth: float


def by_tensor(path, float32_path, images: np.ndarray) -> list[Departure]:
    """Each tensor that both files compute from images, float32 [examples, height, width, channels] on the files' own scale."""
    _, expected = _computed(float32_path, images)
    file, found = _computed(path, images)
    errors: dict[int, float] = {}
    departures = []
    for operation in file.operations:
        (result, *_) = operation.outputs
        before = max((errors.get(index, 0.0) for index in operation.inputs), default=0.0)
        name = file.tensors[result].name
        values, other = found.get(name), expected.get(name)
        if (
            values is None
            or other is None
            or values.shape != other.shape
            or not np.issubdtype(other.dtype, np.floating)
        ):
            errors[result] = before
            continue
        errors[result] = conformance.relative_rms(values, other) if other.std() else 0.0
        kind = (file.maker(result) or operation).kind  # behind what only changes the form
        departures.append(Departure(name, kind, errors[result], errors[result] - before))
    return departures


def first(departures: list[Departure]) -> Departure | None:
    """The tensor that adds the most to the error: where an honest file has rounding, and another one something else."""
    return max(departures, key=lambda one: one.growth, default=None)


def _computed(path, images):
    """A file, and what it computes by the tensors' names: floats, also where it holds integers."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    file = tflite_reader.read(path)
    interpreter = Interpreter(
        str(path),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    given, kept = file.tensors[file.input], []
    size = len(images) if interpreter.get_input_details()[0]["shape_signature"][:1] == -1 else given.shape[0]
    for start in range(0, len(images) - size + 1, size):
        shown = images[start : start + size]
        interpreter.resize_tensor_input(file.input, shown.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(file.input, given.stored(shown))
        interpreter.invoke()
        kept.append(
            {
                tensor.name: _real(tensor, interpreter.get_tensor(index))
                for operation in file.operations
                for index in operation.outputs[:1]
                for tensor in [file.tensors[index]]
            }
        )
    return file, {name: np.concatenate([np.atleast_1d(part[name]) for part in kept]) for name in kept[0]}


def _real(tensor, held):
    """Floats of what is quantized; what is not, such as shapes, as it is."""
    return held if tensor.quantization is None else tensor.real(held)
