"""A TFLite file as a target, run by the LiteRT interpreter as a device would."""

import os
import pathlib

import numpy as np

from tfrobust.attacks import Access
from tfrobust.errors import InputError
from tfrobust.targets import identity
from tfrobust.targets.target import Target, first_line


class TFLiteTarget(Target):
    """A `.tflite` classifier: float32 or integer input and output, which are converted to and from [0, 1] here.

    Its access is score-based. White-box attacks are made on the model it came from and transferred, see
    `WithSurrogate`.

    Raises:
      InputError: for a file that is missing, damaged, needs Flex operations, or is not a classifier of images.
    """

    access = Access.SCORE_BASED

    def __init__(self, path, threads=None):
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise InputError("TFLite files need the LiteRT interpreter: pip install 'tfrobust[litert]'") from error
        if not pathlib.Path(path).is_file():
            raise InputError(f"{path}: no such file")
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads or os.cpu_count())
            flex = [op["op_name"] for op in self._interpreter._get_ops_details() if op["op_name"].startswith("Flex")]
            if not flex:
                self._interpreter.allocate_tensors()
        except Exception as error:  # the interpreter raises ValueError or RuntimeError, by what is damaged
            raise InputError(f"{path} is not a readable TFLite model: {first_line(error)}") from error
        if flex:
            raise InputError(f"{path} needs TensorFlow's own operations ({', '.join(sorted(set(flex)))})")
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        named = [output for output in outputs if "logits" in output["name"]]
        if len(inputs) != 1 or len(inputs[0]["shape"]) != 4 or not (named or len(outputs) == 1):
            raise InputError(f"{path} must take one batch of images and give one output, or one named logits")
        self._input, self._output = inputs[0], (named or outputs)[0]
        self._batch = int(inputs[0]["shape"][0])
        self._path = path
        super().__init__(path, [int(size) for size in inputs[0]["shape"][1:]])

    def identity(self):
        return identity.of_files(self._path)

    def logits(self, images):
        images = np.asarray(images, "float32")
        if len(images) != self._batch:
            self._interpreter.resize_tensor_input(self._input["index"], [len(images), *self.input_shape])
            self._interpreter.allocate_tensors()
            self._batch = len(images)
        self._interpreter.set_tensor(self._input["index"], _quantize(images, self._input))
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise InputError(f"{self.name} cannot be run: {first_line(error)}") from error
        return _dequantize(self._interpreter.get_tensor(self._output["index"]), self._output)


def _quantize(values, details):
    if details["dtype"] == np.float32:
        return values
    scale, zero_point = details["quantization"]
    limits = np.iinfo(details["dtype"])
    return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max).astype(details["dtype"])


def _dequantize(values, details):
    if details["dtype"] == np.float32:
        return values
    scale, zero_point = details["quantization"]
    return ((values.astype("float32") - zero_point) * scale).astype("float32")
