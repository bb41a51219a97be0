"""A TFLite file as a target, run by the LiteRT interpreter as a device would."""

import concurrent.futures
import functools
import os
import pathlib

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Access, Attack
from tfrobust.errors import InputError
from tfrobust.targets import identity, outputs, preprocessing, tflite_reader, trial
from tfrobust.targets.bounds import PIXELS, Bounds, wrong_scale
from tfrobust.targets.inputs import Inputs
from tfrobust.targets.target import Target, first_line
from tfrobust.targets.tflite_graph import TFLiteGraph


class TFLiteTarget(Target):
    """A `.tflite` classifier: float32 or integer input and output, which are converted to and from [0, 1] here.

    Its access is score-based. Attacks that need gradients are made on the file's own graph (`TFLiteGraph`), or on the
    model it came from and transferred, see `WithSurrogate`; judged they are here. A file for batches of one size, as of
    one image, is run batch after batch of that size.

    Args:
      path: of the file.
      threads: of the interpreter; None: all. Kernels of 16-bit activations run in one thread, however many there are: as
        many interpreters share the images of such a file.
      xnnpack: whether the interpreter runs its default, XNNPACK's kernels where it has them, or its own alone.
      bounds: the scale of the images that it takes, such as (0, 255), where its input is quantized the scale that the
        integers stand for; None: (0, 1), or (0, 255) for integers that stand for nothing else. A file whose input
        shows another one is refused.
      output_name: which of several outputs holds the scores; None: the one named logits or output, else the only one.

    Raises:
      InputError: for a file that is missing, damaged, needs Flex operations, or is not a classifier of images.
    """

    access = Access.SCORE_BASED

    def __init__(
        self,
        path: str | pathlib.Path,
        threads: int | None = None,
        *,
        xnnpack: bool = True,
        bounds: tuple[float, float] | str | None = None,
        output_name: str | None = None,
    ):
        if not pathlib.Path(path).is_file():
            raise InputError(f"{path}: no such file")
        self._path, self._threads, self._output_name = path, threads or os.cpu_count() or 1, output_name
        self._xnnpack = xnnpack
        self.file = tflite_reader.read(path)
        self._refuse_flex()
        self._output = self.file.scores(output_name)
        self._refuse_sigmoids()
        # What was read is not all that can end a process: operations have many inputs and options, and other graphs inside.
        trial.refuse_tflite_that_does_not_run(path, self._kernels)
        self._open()
        bounds = Bounds.of(bounds) or self.file.own_bounds()
        details = self._interpreters[0].get_input_details()[0]
        # A plain file says its batch twice; one that was made for any batch says 1 and -1.
        declared = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
        self._own_batch = int(details["shape"][0])
        self._resizable = int(declared[0]) < 0
        self._inputs = Inputs.of(str(path), details["shape"], tf.float32, bounds)
        self._refuse_other_scales(bounds)
        super().__init__(path, self._inputs.shape, bounds)

    def identity(self) -> str | None:
        return f"{identity.of_files(self._path)} {self._output_name} {self.scale} {self._xnnpack}"

    def logits(self, images: np.ndarray | tf.Tensor) -> np.ndarray:
        images = self.scale.scale(np.asarray(images, "float32"))
        images = images[..., 0] if self._inputs.plain else images
        if self._resizable and len(images) != self._own_batch:
            try:
                return self._run(np.array_split(images, max(min(len(images), len(self._interpreters)), 1)))
            except RuntimeError:  # it says that it takes any batch, but holds a size inside
                self._resizable = False
                self._open()
        padding = np.zeros([-len(images) % self._own_batch, *images.shape[1:]], "float32")
        padded = np.concatenate([images, padding])
        try:
            return self._run(np.split(padded, len(padded) // self._own_batch))[: len(images)]
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{self.name} cannot be run: {first_line(error)}") from error

    def _run(self, batches):
        """The answers for all batches together. The interpreters share them, each in a thread of its own."""
        count = min(len(batches), len(self._interpreters))
        if count == 1:
            return self._run_on(self._interpreters[0], batches)
        shares = [
            batches[place * len(batches) // count : (place + 1) * len(batches) // count] for place in range(count)
        ]
        with concurrent.futures.ThreadPoolExecutor(count) as threads:
            return np.concatenate(list(threads.map(self._run_on, self._interpreters, shares)))

    def _run_on(self, interpreter, batches):
        return np.concatenate([self._answer(interpreter, images) for images in batches])

    def _answer(self, interpreter, images):
        details = interpreter.get_input_details()[0]
        if tuple(details["shape"]) != images.shape:
            interpreter.resize_tensor_input(details["index"], images.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(details["index"], self.file.tensors[self.file.input].stored(images))
        interpreter.invoke()
        return self.file.tensors[self._output].real(interpreter.get_tensor(self._output))

    @functools.cached_property
    def graph(self) -> TFLiteGraph:
        """The file as a model with gradients.

        Raises:
          InputError: if it has an operation without one here.
        """
        return TFLiteGraph(self._path, bounds=self.bounds, output_name=self._output_name)

    def rerun(self, *, threads: int, xnnpack: bool) -> "TFLiteTarget":
        """The same file under other settings of the interpreter."""
        return TFLiteTarget(self._path, threads, xnnpack=xnnpack, bounds=self.bounds, output_name=self._output_name)

    def attacked_by(self, attack: Attack) -> Target:
        return self if self.allows(attack) else self.graph

    def represents(self, victim: Target) -> bool:
        return victim is self or isinstance(victim, TFLiteGraph)

    @property
    def _kernels(self):
        """The name of their `OpResolverType`."""
        return "AUTO" if self._xnnpack else "BUILTIN_WITHOUT_DEFAULT_DELEGATES"

    def _open(self):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kernels, count = OpResolverType[self._kernels], self._threads if self.file.has_16_bit_activations() else 1
        try:
            self._interpreters = [
                Interpreter(
                    model_path=str(self._path), num_threads=self._threads, experimental_op_resolver_type=kernels
                )
                for _ in range(count)
            ]
            for one in self._interpreters:
                one.allocate_tensors()
        except (RuntimeError, ValueError) as error:  # such as for want of memory: it has just run elsewhere
            raise InputError(f"{self._path} cannot be run: {first_line(error)}") from error

    def _refuse_flex(self):
        flex = sorted({one.kind for one in self.file.operations if one.kind.startswith("Flex")})
        if flex:
            raise InputError(f"{self._path} needs TensorFlow's own operations ({', '.join(flex)})")

    def _refuse_sigmoids(self):
        last, shape = self.file.maker(self._output), self.file.tensors[self._output].shape
        if last is not None and last.kind == "LOGISTIC" and shape and shape[-1] > 1:
            raise outputs.several_sigmoids(str(self._path), shape[-1])

    def _refuse_other_scales(self, bounds):
        """By the range of a quantized input, or by what the first operation does to a float one."""
        tensors, users = self.file.tensors, self.file.readers(self.file.input)
        given = self.file.quantized_input()
        if given.quantization is not None:
            limits, (scale, zero_point, _) = np.iinfo(given.dtype), given.quantization
            low, high = ((limit - zero_point[0]) * scale[0] for limit in (limits.min, limits.max))
            # 16 bits are symmetric, whatever the values were: they say nothing of negative ones.
            low = 0.0 if given.dtype == np.int16 else low
            preprocessing.refuse_range(str(self._path), low, high, bounds)
        elif users and bounds is None and users[0].kind in ("MUL", "DIV", "SUB", "ADD"):
            other = tensors[users[0].inputs[1]].value
            evidence = preprocessing.of_operation(users[0].kind, np.zeros([0]) if other is None else other)
            if evidence:
                raise wrong_scale(str(self._path), f"its first layers {evidence}, as for pixels of 0-255", PIXELS)
