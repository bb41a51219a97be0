"""From a Keras model to the bytes of a TFLite file."""

import contextlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import tfrobust as tfr
from export import tflite_metadata
from tfrobust.cli import quiet

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras
    import numpy as np

MODES = ("float32", "float16", "dynamic", "int8", "int16x8")
CALIBRATED = ("int8", "int16x8")
IO_TYPES = ("float32", "uint8", "int8")


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
      calibration_images: float32 [examples, height, width, channels] in [0, 1], for int8 and int16x8. A quantization-aware
        network (`models.quantization_aware`) needs none: its int8 file has the ranges of its training.
      io_type: one of `IO_TYPES`, of input and output; integers of int8 alone.
      fixed_batch: the size of all its batches; None: any.
      class_names: of all classes in their order, for its metadata.

    Raises:
      InputError: if the model needs an operation that TFLite has not built in, such as random numbers, and for a
        quantization-aware network in another mode than int8.

    Example:
      >>> pathlib.Path("lenet.tflite").write_bytes(convert(network, "int8", train.floats()[:500], io_type="uint8"))
    """
    import keras
    import tensorflow as tf

    if fixed_batch is not None:
        images = keras.Input(model.input_shape[1:], batch_size=fixed_batch)
        model = keras.Model(images, model(images))
    aware = tfr.models.is_aware(model)
    if aware and quantize != "int8":
        raise tfr.InputError(f"the model is trained for int8: {quantize} would not be what it has learned")
    ops = tf.lite.OpsSet
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = {
        # The converter demands calibration for a file of int8 alone.
        "int8": [ops.TFLITE_BUILTINS if aware else ops.TFLITE_BUILTINS_INT8],
        "int16x8": [ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8, ops.TFLITE_BUILTINS],
    }.get(quantize, [ops.TFLITE_BUILTINS])
    if quantize != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize in CALIBRATED:
        if not aware:
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
