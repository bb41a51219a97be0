"""Writes a model as a TFLite file, in full or reduced precision.

    python -m export.tflite --model=runs/lenet/model.keras --output=lenet_int8.tflite --quantize=int8 --calibration=mnist

The file has one input, `image`, and one output, `logits`; it says so in its metadata, with --class_names also what the classes
are called. Both are float32 in every mode, unless --io_type says that those of an int8 file are integers: as uint8 an image is
what its pixels are. Only TFLite's built-in operations are allowed, so the file runs in any LiteRT interpreter. int8 and int16x8
measure the ranges of activations on images of --calibration. A model of mixed precision is rebuilt in float32 first.

The file is run before it appears, under XNNPACK, which is the interpreter's default, and without it, one image and four at a
time. One that does not run is not exported: --norequire_xnnpack exports what only runs without XNNPACK, and says so.
"""

import contextlib
import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

import tfrobust as tfr
from export import export_flags, network, runtime, tflite_metadata
from tfrobust import files
from tfrobust.cli import data, program, quiet

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras
    import numpy as np

MODES = ("float32", "float16", "dynamic", "int8", "int16x8")
CALIBRATED = ("int8", "int16x8")
IO_TYPES = ("float32", "uint8", "int8")
QUANTIZE = flags.DEFINE_enum("quantize", "float32", MODES, "Precision of weights, and for int modes of activations.")
CALIBRATION = flags.DEFINE_string("calibration", None, "Data set whose training images calibrate int8 and int16x8.")
CALIBRATION_EXAMPLES = flags.DEFINE_integer("calibration_examples", 500, "How many of them.", lower_bound=1)
IO_TYPE = flags.DEFINE_enum("io_type", "float32", IO_TYPES, "What an int8 file takes and gives.")
FIXED_BATCH = flags.DEFINE_integer("fixed_batch", None, "Make the file for batches of this size alone.", lower_bound=1)
REQUIRE_XNNPACK = flags.DEFINE_boolean("require_xnnpack", True, "Whether the file has to run under XNNPACK.")


def main():
    paths, source = export_flags.from_flags(), data.from_flags()
    quantize, calibration, examples = QUANTIZE.value, CALIBRATION.value, CALIBRATION_EXAMPLES.value
    require_xnnpack, io_type, fixed_batch = REQUIRE_XNNPACK.value, IO_TYPE.value, FIXED_BATCH.value
    class_names = export_flags.CLASS_NAMES.value
    if paths.output.suffix != ".tflite":
        raise tfr.InputError(f"--output must end in .tflite, got {paths.output}")
    if quantize in CALIBRATED and not calibration:
        raise tfr.InputError(f"--quantize={quantize} needs --calibration, such as --calibration=mnist")
    if io_type != "float32" and quantize != "int8":
        raise tfr.InputError(f"--io_type={io_type} needs --quantize=int8: the others compute with floats at both ends")
    files.check_writable(paths.output.parent)
    quiet.start_tensorflow()
    model = network.load(paths.model)
    names = class_names and export_flags.class_names(class_names, model.output_shape[-1])
    images = None
    if quantize in CALIBRATED:
        images = source.load(calibration, "train", examples, channels=model.input_shape[-1]).floats()
        tfr.targets.as_target(model).check(images)
    contents = convert(model, quantize, images, io_type, fixed_batch, names)
    with files.written(paths.output) as path:
        path.write_bytes(contents)
        runs = runtime.run(path)
        for line in [*described(runs), f"litert-benchmark: {runtime.benchmark(path):.2g} ms a batch, one thread"]:
            print(line)
        if any(one.error and (require_xnnpack or one.kernels != "xnnpack") for one in runs):
            print("failed: nothing was exported")
            sys.exit(1)  # inside the block, so that nothing appears
    print(f"tflite: {paths.output} ({len(contents):,} bytes)")


def described(runs: list[runtime.Run]) -> list[str]:
    """A line for each kind of kernels: what a run costs, or why there is none."""
    lines = []
    for kernels, name in zip(runtime.KERNELS, ("under XNNPACK", "without a delegate")):
        own = [one for one in runs if one.kernels == kernels]
        errors = [one for one in own if one.error]
        if errors:
            batch = f" in a batch of {errors[0].batch}" if errors[0].batch else ""
            lines.append(f"does not run {name}{batch}: {errors[0].error}")
        else:
            costs = ", ".join(f"{one.milliseconds:.2g} ms for a batch of {one.batch}" for one in own)
            lines.append(f"runs {name}: {costs}, {max(one.mebibytes for one in own):.0f} MiB, one thread")
    return lines


def convert(
    model: "keras.Model",
    quantize: str = "float32",
    calibration_images: "np.ndarray | None" = None,
    io_type: str = "float32",
    fixed_batch: int | None = None,
    class_names: Sequence[str] | None = None,
) -> bytes:
    """The bytes of a .tflite file for a Keras model.

    Args:
      model: from images to logits.
      quantize: one of `MODES`.
      calibration_images: float32 [examples, height, width, channels] in [0, 1], for int8 and int16x8.
      io_type: one of `IO_TYPES`, of input and output; integers of int8 alone.
      fixed_batch: the size of all its batches; None: any.
      class_names: of all classes in their order, for its metadata.

    Raises:
      InputError: if the model needs an operation that TFLite has not built in, such as random numbers.

    Example:
      >>> pathlib.Path("lenet.tflite").write_bytes(convert(network, "int8", train.floats()[:500], io_type="uint8"))
    """
    import keras
    import tensorflow as tf

    if fixed_batch is not None:
        images = keras.Input(model.input_shape[1:], batch_size=fixed_batch)
        model = keras.Model(images, model(images))
    ops = tf.lite.OpsSet
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = {
        "int8": [ops.TFLITE_BUILTINS_INT8],
        "int16x8": [ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8, ops.TFLITE_BUILTINS],
    }.get(quantize, [ops.TFLITE_BUILTINS])
    if quantize != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize in CALIBRATED:
        converter.representative_dataset = lambda: _batches(calibration_images, fixed_batch or 1)
        converter.inference_input_type = converter.inference_output_type = tf.dtypes.as_dtype(io_type)
    try:
        with (
            tfr.layers.fixed_mask.converting(model),
            contextlib.redirect_stdout(io.StringIO()),  # it describes a temporary SavedModel
            quiet.held_back(),  # int8 warns of statistics that it does not need, and dumps its state
        ):
            contents = converter.convert()
    except Exception as error:  # the converter's own errors have no common class
        if "StatelessRandom" in str(error):
            raise tfr.InputError(
                "the model draws random numbers, for which TFLite has no operation: export it by export.saved_model"
            ) from error
        raise tfr.InputError(f"the model cannot be written as {quantize} TFLite: {error}") from error
    return tflite_metadata.described(contents, f"{quantize}, exported by tfrobust", class_names)


def _batches(images, size):
    """Lists of one batch each, as the converter takes them; images that do not fill one are repeated or left out."""
    import numpy as np

    for start in range(0, max(len(images) - size, 0) + 1, size):
        batch = images[start : start + size]
        yield [np.resize(batch, (size, *batch.shape[1:]))]


flags.adopt_module_key_flags(data)
flags.adopt_module_key_flags(export_flags)

if __name__ == "__main__":
    program.run(main)
