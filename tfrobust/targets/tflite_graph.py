"""A TFLite file as a differentiable model: the file itself, with its own weights, scales and zero points."""

import os

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Access
from tfrobust.errors import InputError
from tfrobust.targets import identity, outputs, tflite_operations, tflite_reader
from tfrobust.targets.bounds import Bounds
from tfrobust.targets.inputs import Inputs
from tfrobust.targets.target import Target


class TFLiteGraph(Target):
    """What a `.tflite` file computes, as a TensorFlow function with gradients: white-box access to the file.

    Its answers are logits, also of a file that ends in a softmax or one sigmoid. They are near those of the interpreter
    (`TFLiteTarget`), which rounds a little differently from kernel to kernel: attacks are made here, and judged there.

    Args:
      path: of the file.
      bounds, output_name: as of `TFLiteTarget`.

    Raises:
      InputError: for a file that cannot be read, or with an operation that has no differentiable form here.

    Example:
      >>> graph = TFLiteGraph("lenet_int8.tflite")
      >>> adversarial = pgd(Linf(0.1))(graph.logits, images, labels, seed=0)
    """

    access = Access.WHITE_BOX

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        bounds: tuple[float, float] | str | None = None,
        output_name: str | None = None,
    ):
        self.file = file = tflite_reader.read(path)
        unknown = sorted({one.kind for one in file.operations} - tflite_operations.KERNELS.keys())
        if unknown:
            raise InputError(
                f"{path} cannot be differentiated: there is no gradient here of {', '.join(unknown)}; attack it by its "
                "scores, or make the attack on another model and transfer it, by WithSurrogate(target, surrogate) or by "
                "the flag --source"
            )
        given = file.tensors[file.input]
        bounds = Bounds.of(bounds) or file.own_bounds()
        self._inputs = Inputs.of(str(path), given.shape, tf.float32, bounds)._replace(batch=None)
        self._output = file.scores(output_name)
        super().__init__(f"{path} (its own graph)", self._inputs.shape, bounds)
        self._choice = f"{output_name} {self.scale}"
        maker = file.maker(self._before_activation())
        made = file.tensors[self._output if maker is None else maker.outputs[0]]
        self.resolution = 0.0 if made.quantization is None else float(tflite_operations.step_of(made))

    def identity(self) -> str | None:
        return f"graph {identity.of_files(self.file.path)} {self._choice}"

    def logits(self, images: np.ndarray | tf.Tensor) -> tf.Tensor:
        values, scores = self.values(images), self._before_activation()
        found = tflite_operations.real(values[scores], self.file.tensors[scores])
        return outputs.two_classes(found) if found.shape.rank == 1 or found.shape[1] == 1 else found

    def _before_activation(self):
        """The tensor with the logits: behind a softmax or a sigmoid a device's integers keep little of them."""
        last = self.file.maker(self._output)
        return last.inputs[0] if last is not None and last.kind in ("SOFTMAX", "LOGISTIC") else self._output

    def values(self, images: tf.Tensor) -> dict[int, tf.Tensor]:
        """What each tensor of the file holds for images in [0, 1], by its index, as `tflite_operations` holds it."""
        file = self.file
        given, images = file.tensors[file.input], self._inputs.feed(images)
        values = {
            index: tflite_operations.constant(one) for index, one in enumerate(file.tensors) if one.value is not None
        }
        values[file.input] = tflite_operations.stored(images / tflite_operations.step_of(given), given)
        for operation in file.operations:
            (result, *_), tensors = operation.outputs, [None if n < 0 else file.tensors[n] for n in operation.inputs]
            call = tflite_operations.Call(operation, tensors, file.tensors[result], given.shape[0])
            values[result] = tflite_operations.run(call, [values.get(index) for index in operation.inputs])
        return values
