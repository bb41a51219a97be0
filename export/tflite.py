"""Writes a model as a TFLite file, in full or reduced precision.

    python -m export.tflite --model=runs/lenet/model.keras --output=lenet_int8.tflite --quantize=int8 --calibration=mnist

Input and output stay float32 in every mode. Only TFLite's built-in operations are allowed, so the file runs in any
LiteRT interpreter. int8 and int16x8 measure the ranges of activations on images of --calibration.

The file is run before it appears, under XNNPACK, which is the interpreter's default, and without it, one image and four at a
time. One that does not run is not exported: --norequire_xnnpack exports what only runs without XNNPACK, and says so.
"""

import contextlib
import io
import sys
from typing import TYPE_CHECKING

from absl import flags

import tfrobust as tfr
from export import export_flags, network, runtime
from tfrobust import files
from tfrobust.cli import data, program, quiet

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras
    import numpy as np

MODES = ("float32", "float16", "dynamic", "int8", "int16x8")
CALIBRATED = ("int8", "int16x8")
QUANTIZE = flags.DEFINE_enum("quantize", "float32", MODES, "Precision of weights, and for int modes of activations.")
CALIBRATION = flags.DEFINE_string("calibration", None, "Data set whose training images calibrate int8 and int16x8.")
CALIBRATION_EXAMPLES = flags.DEFINE_integer("calibration_examples", 500, "How many of them.", lower_bound=1)
REQUIRE_XNNPACK = flags.DEFINE_boolean("require_xnnpack", True, "Whether the file has to run under XNNPACK.")


def main():
    paths, source = export_flags.from_flags(), data.from_flags()
    quantize, calibration, examples = QUANTIZE.value, CALIBRATION.value, CALIBRATION_EXAMPLES.value
    require_xnnpack = REQUIRE_XNNPACK.value
    if paths.output.suffix != ".tflite":
        raise tfr.InputError(f"--output must end in .tflite, got {paths.output}")
    if quantize in CALIBRATED and not calibration:
        raise tfr.InputError(f"--quantize={quantize} needs --calibration, such as --calibration=mnist")
    files.check_writable(paths.output.parent)
    quiet.start_tensorflow()
    model = network.load(paths.model)
    images = None
    if quantize in CALIBRATED:
        images = source.load(calibration, "train", examples, channels=model.input_shape[-1]).floats()
        tfr.targets.as_target(model).check(images)
    contents = convert(model, quantize, images)
    with files.written(paths.output) as path:
        path.write_bytes(contents)
        runs = runtime.run(path)
        for line in described(runs):
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


def convert(model: "keras.Model", quantize: str = "float32", calibration_images: "np.ndarray | None" = None) -> bytes:
    """The bytes of a .tflite file for a Keras model.

    Args:
      model: from images to logits.
      quantize: one of `MODES`.
      calibration_images: float32 [examples, height, width, channels] in [0, 1], for int8 and int16x8.

    Raises:
      InputError: if the model needs an operation that TFLite has not built in, such as random numbers.
    """
    import tensorflow as tf

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
        converter.representative_dataset = lambda: ([image[None]] for image in calibration_images)
    try:
        with (
            tfr.layers.fixed_mask.converting(model),
            contextlib.redirect_stdout(io.StringIO()),  # it describes a temporary SavedModel
            quiet.held_back(),  # int8 warns of statistics that it does not need, and dumps its state
        ):
            return converter.convert()
    except Exception as error:  # the converter's own errors have no common class
        if "StatelessRandom" in str(error):
            raise tfr.InputError(
                "the model draws random numbers, for which TFLite has no operation: export it by export.saved_model"
            ) from error
        raise tfr.InputError(f"the model cannot be written as {quantize} TFLite: {error}") from error


flags.adopt_module_key_flags(data)
flags.adopt_module_key_flags(export_flags)

if __name__ == "__main__":
    program.run(main)
