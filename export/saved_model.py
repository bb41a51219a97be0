"""Writes a model as a SavedModel that TF Serving loads as it is.

    python -m export.saved_model --model=runs/lenet/model.keras --output=models/lenet

The version folder, the next number in --output, gets two signatures, both giving `logits`, `probabilities` and `classes`:
  serving_default (also `serve`)   `image`: float32 [batch, height, width, channels] in [0, 1]
  serve_bytes                      `image_bytes`: PNG or JPEG files, string [batch]

Of a file of another size the largest centered part of the wanted proportions is resized bilinearly with antialiasing, as
in every evaluation here; gray files become RGB, but PNG files of 16 bits are refused, and color where the model takes gray.
Images of another shape are an error of the request: without that, one of another rank ends some servers.

The folder appears under its number only when it is complete, and only if its logits are those of the model; those of a
model that answers differently each time are not compared.
"""

import os
import pathlib
import sys
from typing import TYPE_CHECKING

from absl import flags

import tfrobust as tfr
from export import export_flags, network
from tfrobust import files
from tfrobust.cli import data, program, quiet

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras

VERSION = flags.DEFINE_integer(
    "version", None, "The version, a folder of that number in --output; default: the next one.", lower_bound=1
)
TOLERANCE = 1e-4


def main():
    paths, number = export_flags.from_flags(), VERSION.value
    if number is not None and (paths.output / str(number)).exists():
        raise tfr.InputError(f"{paths.output / str(number)} exists; give another --version or none, for the next one")
    files.check_writable(paths.output)
    quiet.start_tensorflow()
    model = network.load(paths.model)
    with files.temporary(paths.output / "version") as path:
        write(model, path)
        reference = tfr.targets.KerasTarget(model, paths.model)
        difference = largest_difference(reference, tfr.targets.SavedModelTarget(path))
        print(f"largest logit difference to {reference.name}: {difference:.2g}")
        if largest_difference(reference, reference) > TOLERANCE:
            print("the model answers differently each time: this difference says nothing")
        elif difference > TOLERANCE:
            print(f"failed: the logits differ by more than {TOLERANCE:g}; nothing was exported")
            sys.exit(1)  # inside the block, so that nothing appears
        print(f"saved model: {published(path, paths.output, number)}")


def published(path: pathlib.Path, output: pathlib.Path, number: int | None) -> pathlib.Path:
    """Moves a complete version to where servers see it.

    Raises:
      InputError: if another process was faster to take its number.
    """
    if number is None:
        return files.moved_to_next_number(path, output)
    try:
        os.rename(path, output / str(number))
    except OSError as error:
        raise tfr.InputError(f"{output / str(number)} cannot be written: {error.strerror}") from error
    return output / str(number)


def write(model: "keras.Model", path: str | os.PathLike) -> None:
    """Writes a Keras model from images to logits as a SavedModel with the signatures above."""
    import keras
    import tensorflow as tf

    height, width, channels = model.input_shape[1:]

    def serve(image):
        # A server does not check what a request holds against the signature, nor do all kernels.
        logits = tf.cast(model(tf.ensure_shape(image, [None, height, width, channels]), training=False), tf.float32)
        return {"logits": logits, "probabilities": tf.nn.softmax(logits), "classes": tf.argmax(logits, axis=1)}

    def serve_bytes(image_bytes):
        def decode(contents):
            with tf.control_dependencies(_checks(contents, channels)):
                image = tfr.data.decode(contents, channels)
            return tfr.data.fit(image, (height, width))

        pixels = tf.map_fn(decode, tf.ensure_shape(image_bytes, [None]), fn_output_signature=tf.uint8)
        return serve(tf.cast(pixels, tf.float32) / 255.0)

    archive = keras.export.ExportArchive()
    archive.track(model)
    images = tf.TensorSpec([None, height, width, channels], tf.float32, name="image")
    archive.add_endpoint("serve", serve, input_signature=[images])
    archive.add_endpoint("serve_bytes", serve_bytes, [tf.TensorSpec([None], tf.string, name="image_bytes")])
    archive.write_out(str(path), verbose=False)


def _checks(contents, channels):
    """Operations that fail for a file that would lose something: half of its bits, or its colors."""
    import tensorflow as tf

    head = tf.strings.join([contents, b"\0" * 32])  # of any length
    is_png = tf.strings.substr(head, 0, 4) == b"\x89PNG"
    deep = is_png & (tf.strings.substr(head, 24, 1) == b"\x10")
    checks = [tf.debugging.Assert(~deep, ["PNG files of 16 bits are not taken: store 8 bits"])]
    if channels == 1:
        found = tf.shape(tfr.data.decode(contents))[2]
        gray = ["the model takes gray images, but this file has colors"]
        checks.append(tf.debugging.Assert((found == 1) | (is_png & (found == 2)), gray))
    return checks


def largest_difference(reference: "tfr.targets.Target", target: "tfr.targets.Target", examples: int = 16) -> float:
    """The largest absolute difference between the logits of two targets, on random images."""
    import numpy as np

    images = np.random.default_rng(0).random((examples, *reference.input_shape), dtype="float32")
    expected = reference.predictor()(images)
    return float(np.abs(expected - target.predictor()(images)).max())


flags.adopt_module_key_flags(data)
flags.adopt_module_key_flags(export_flags)

if __name__ == "__main__":
    program.run(main)
