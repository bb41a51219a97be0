"""A TFLite file as it is written: tensors, operations and constants. `tflite_reader` reads one."""

from typing import Any, NamedTuple

import numpy as np

from tfrobust.targets import outputs
from tfrobust.targets.bounds import PIXELS, Bounds

_FORM = ("DEQUANTIZE", "QUANTIZE", "RESHAPE")


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

    def has_16_bit_activations(self) -> bool:
        """Whether operations compute in 16 bits, as the converter's int16x8 has it."""
        return any(self.tensors[made].dtype == np.int16 for operation in self.operations for made in operation.outputs)

    def readers(self, index: int) -> list[Operation]:
        """The operations that read a tensor."""
        return [operation for operation in self.operations if index in operation.inputs]
