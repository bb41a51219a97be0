"""Writes a model as a TFLite file, in full or reduced precision.

    python -m export.tflite --model=runs/lenet/model.keras --output=lenet_int8.tflite --quantize=int8 --calibration=mnist

The file has one input, `image`, and one output, `logits`; it says so in its metadata, with --class_names also what the classes
are called. Both are float32 in every mode, unless --io_type says that those of an int8 file are integers: as uint8 an image is
what its pixels are. Only TFLite's built-in operations are allowed, so the file runs in any LiteRT interpreter. int8 and int16x8
measure the ranges of activations on images of --calibration; the int8 file of a network trained with --quantization_aware
has the ranges of its training instead. A model of mixed precision is rebuilt in float32 first.

The file is run before it appears, under XNNPACK, which is the interpreter's default, and without it, one image and four at a
time. One that does not run is not exported: --norequire_xnnpack exports what only runs without XNNPACK, and says so.
"""

import sys

from absl import flags

import tfrobust as tfr
from export import export_flags, network, runtime
from export.conversion import CALIBRATED, IO_TYPES, MODES, convert
from tfrobust import files
from tfrobust.cli import data, program, quiet

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
    if io_type != "float32" and quantize != "int8":
        raise tfr.InputError(f"--io_type={io_type} needs --quantize=int8: the others compute with floats at both ends")
    files.check_writable(paths.output.parent)
    quiet.start_tensorflow()
    model = network.load(paths.model)
    calibrated = quantize in CALIBRATED and not tfr.models.is_aware(model)
    if calibrated and not calibration:
        raise tfr.InputError(f"--quantize={quantize} needs --calibration, such as --calibration=mnist")
    names = class_names and export_flags.class_names(class_names, model.output_shape[-1])
    images = None
    if calibrated and calibration:
        images = source.load(calibration, "train", examples, channels=model.input_shape[-1]).floats()
        tfr.targets.as_target(model).check(images)
    contents = convert(model, quantize, images, io_type, fixed_batch, names)
    with files.written(paths.output) as path:
        path.write_bytes(contents)
        runs = runtime.run(path)
        for line in [*described(runs), f"litert-benchmark: {_shown(runtime.benchmark(path))} ms a batch, one thread"]:
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
            costs = ", ".join(f"{_shown(one.milliseconds)} ms for a batch of {one.batch}" for one in own)
            lines.append(f"runs {name}: {costs}, {max(one.mebibytes or 0.0 for one in own):.0f} MiB, one thread")
    return lines


def _shown(milliseconds):
    return f"{milliseconds:.2f}" if milliseconds < 10 else f"{milliseconds:.0f}"


flags.adopt_module_key_flags(data)
flags.adopt_module_key_flags(export_flags)

if __name__ == "__main__":
    program.run(main)
