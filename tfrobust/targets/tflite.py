"""A TFLite file as a target, run by the LiteRT interpreter as a device would."""

import os
import pathlib

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Access
from tfrobust.errors import InputError
from tfrobust.targets import identity, outputs, preprocessing
from tfrobust.targets.bounds import PIXELS, Bounds, wrong_scale
from tfrobust.targets.inputs import Inputs
from tfrobust.targets.target import Target, first_line


class TFLiteTarget(Target):
    """A `.tflite` classifier: float32 or integer input and output, which are converted to and from [0, 1] here.

    Its access is score-based. White-box attacks are made on the model it came from and transferred, see
    `WithSurrogate`. A file for batches of one size, as of one image, is run batch after batch of that size.

    Args:
      path: of the file.
      threads: of the interpreter; None: all.
      bounds: the scale of the images that it takes, such as (0, 255), where its input is quantized the scale that the
        integers stand for; None: (0, 1), or (0, 255) for integers that stand for nothing else. A file whose input
        shows another one is refused.
      output_name: which of several outputs holds the scores; None: the one named logits or output, else the only one.

    Raises:
      InputError: for a file that is missing, damaged, needs Flex operations, or is not a classifier of images.
    """

    access = Access.SCORE_BASED

    def __init__(self, path, threads=None, *, bounds=None, output_name=None):
        if not pathlib.Path(path).is_file():
            raise InputError(f"{path}: no such file")
        self._path, self._threads, self._output_name = path, threads or os.cpu_count(), output_name
        self._open()
        inputs = self._interpreter.get_input_details()
        if len(inputs) != 1:
            raise InputError(f"{path} takes {len(inputs)} inputs, expected one batch of images")
        bounds = Bounds.of(bounds) or (PIXELS if _plain_integers(inputs[0]) else None)
        # A plain file says its batch twice; one that was made for any batch says 1 and -1.
        declared = inputs[0]["shape_signature"] if len(inputs[0]["shape_signature"]) else inputs[0]["shape"]
        self._own_batch = int(inputs[0]["shape"][0])
        self._resizable = int(declared[0]) < 0
        self._inputs = Inputs.of(str(path), inputs[0]["shape"], tf.float32, bounds)
        self._refuse_other_scales(bounds)
        super().__init__(path, self._inputs.shape, bounds)

    def identity(self):
        return f"{identity.of_files(self._path)} {self._output_name} {self.scale}"

    def logits(self, images):
        images = self.scale.scale(np.asarray(images, "float32"))
        images = images[..., 0] if self._inputs.plain else images
        if self._resizable and len(images) != self._own_batch:
            try:
                return self._run(images)
            except RuntimeError:  # it says that it takes any batch, but holds a size inside
                self._resizable = False
                self._open()
        return np.concatenate([self._part(images[start:]) for start in range(0, len(images), self._own_batch)])

    def _part(self, images):
        """Answers for the first images, as many as the file takes at a time."""
        count = min(len(images), self._own_batch)
        padding = np.zeros([self._own_batch - count, *images.shape[1:]], "float32")
        try:
            return self._run(np.concatenate([images[:count], padding]))[:count]
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{self.name} cannot be run: {first_line(error)}") from error

    def _run(self, images):
        details = self._interpreter.get_input_details()[0]
        if tuple(details["shape"]) != images.shape:
            self._interpreter.resize_tensor_input(details["index"], images.shape)
            self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(details["index"], _quantize(images, details))
        self._interpreter.invoke()
        return _dequantize(self._interpreter.get_tensor(self._output["index"]), self._output)

    def _open(self):
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise InputError("TFLite files need the LiteRT interpreter: pip install 'tfrobust[litert]'") from error
        try:
            self._interpreter = Interpreter(model_path=str(self._path), num_threads=self._threads)
            # Asked before they are allocated, when delegates take their place.
            self._operations = self._interpreter._get_ops_details()
            flex = {op["op_name"] for op in self._operations if op["op_name"].startswith("Flex")}
            if not flex:
                self._interpreter.allocate_tensors()
        except Exception as error:  # the interpreter raises ValueError or RuntimeError, by what is damaged
            raise InputError(f"{self._path} is not a readable TFLite model: {first_line(error)}") from error
        if flex:
            raise InputError(f"{self._path} needs TensorFlow's own operations ({', '.join(sorted(flex))})")
        self._output = self._chosen_output()

    def _chosen_output(self):
        """The output with the scores, by the names of its signature, else of its tensors."""
        details = self._interpreter.get_output_details()
        signatures = self._interpreter.get_signature_list()
        if len(signatures) == 1:
            named = self._interpreter.get_signature_runner(next(iter(signatures))).get_output_details()
        else:
            named = {output["name"]: output for output in details}
        if len(named) > 1 and self._output_name is None:
            likely = [name for name in named if "logits" in name]
            named = {likely[0]: named[likely[0]]} if len(likely) == 1 else named
        index = named[outputs.named(named, self._output_name, str(self._path))]["index"]
        output = next(output for output in details if output["index"] == index)
        self._refuse_sigmoids(output)
        return output

    def _refuse_sigmoids(self, output):
        made = {int(result): op for op in self._operations for result in op["outputs"]}
        last = made.get(output["index"])
        while last is not None and last["op_name"] in ("DEQUANTIZE", "QUANTIZE", "RESHAPE"):
            last = made.get(int(last["inputs"][0]))
        count = int(output["shape"][-1]) if len(output["shape"]) else 1
        if last is not None and last["op_name"] == "LOGISTIC" and count > 1:
            raise outputs.several_sigmoids(str(self._path), count)

    def _refuse_other_scales(self, bounds):
        """By the range of a quantized input, or by what the first operation does to a float one."""
        details = self._interpreter.get_input_details()[0]
        tensors = {tensor["index"]: tensor for tensor in self._interpreter.get_tensor_details()}
        users = [op for op in self._operations if details["index"] in op["inputs"]]
        if users and users[0]["op_name"] == "QUANTIZE":
            details = tensors[int(users[0]["outputs"][0])]
        if details["dtype"] != np.float32 and details["quantization"][0]:
            limits, (scale, zero_point) = np.iinfo(details["dtype"]), details["quantization"]
            low, high = ((limit - zero_point) * scale for limit in (limits.min, limits.max))
            preprocessing.refuse_range(str(self._path), low, high, bounds)
        elif users and bounds is None and users[0]["op_name"] in ("MUL", "DIV", "SUB", "ADD"):
            constant = self._interpreter.get_tensor(int(users[0]["inputs"][1]))
            evidence = preprocessing.of_operation(users[0]["op_name"], constant)
            if evidence:
                raise wrong_scale(str(self._path), f"its first layers {evidence}, as for pixels of 0-255", PIXELS)


def _plain_integers(details):
    """Whether an input takes integers that stand for themselves."""
    return np.issubdtype(details["dtype"], np.integer) and not details["quantization"][0]


def _quantize(values, details):
    if np.issubdtype(details["dtype"], np.floating):
        return values.astype(details["dtype"])
    scale, zero_point = details["quantization"]
    limits = np.iinfo(details["dtype"])
    return np.clip(np.round(values / (scale or 1)) + zero_point, limits.min, limits.max).astype(details["dtype"])


def _dequantize(values, details):
    scale, zero_point = details["quantization"]
    if np.issubdtype(details["dtype"], np.floating) or not scale:
        return values.astype("float32")
    return ((values.astype("float32") - zero_point) * scale).astype("float32")
