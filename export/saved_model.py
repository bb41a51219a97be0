"""Writes a model as a SavedModel that TF Serving loads as it is.

    python -m export.saved_model --model=runs/lenet/model.keras --output=models/lenet --version=1

The version folder gets two signatures, both giving `logits` and `probabilities`:
  serving_default (also `serve`)   `image`: float32 [batch, height, width, channels] in [0, 1]
  serve_bytes                      `image_bytes`: PNG or JPEG files of exactly that size, string [batch]

It appears under its number only when it is complete, and only if its logits are those of the model; those of a model
that answers differently each time are not compared.
"""

import os
import sys
from typing import TYPE_CHECKING

from absl import flags

import tfrobust as tfr
from export import export_flags, network
from tfrobust import files
from tfrobust.cli import data, program, quiet

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras

VERSION = flags.DEFINE_integer("version", 1, "The version, a folder of that number in --output.", lower_bound=1)
TOLERANCE = 1e-4


def main():
    paths = export_flags.from_flags()
    version = paths.output / str(VERSION.value)
    if version.exists():
        raise tfr.InputError(f"{version} exists; give another --version or remove it")
    files.check_writable(paths.output)
    quiet.start_tensorflow()
    model = network.load(paths.model)
    with files.written(version) as path:
        write(model, path)
        reference = tfr.targets.KerasTarget(model, paths.model)
        difference = largest_difference(reference, tfr.targets.SavedModelTarget(path))
        print(f"largest logit difference to {reference.name}: {difference:.2g}")
        if largest_difference(reference, reference) > TOLERANCE:
            print("the model answers differently each time: this difference says nothing")
        elif difference > TOLERANCE:
            print(f"failed: the logits differ by more than {TOLERANCE:g}; nothing was exported")
            sys.exit(1)  # inside the block, so that nothing appears
    print(f"saved model: {version}")


def write(model: "keras.Model", path: str | os.PathLike) -> None:
    """Writes a Keras model from images to logits as a SavedModel with the signatures above."""
    import keras
    import tensorflow as tf

    height, width, channels = model.input_shape[1:]

    def serve(image):
        logits = model(image, training=False)
        return {"logits": logits, "probabilities": tf.nn.softmax(logits)}

    def serve_bytes(image_bytes):
        def decode(contents):
            image = tf.io.decode_image(contents, channels=channels, expand_animations=False)
            return tf.ensure_shape(image, [height, width, channels])

        pixels = tf.map_fn(decode, image_bytes, fn_output_signature=tf.uint8)
        return serve(tf.cast(pixels, tf.float32) / 255.0)

    archive = keras.export.ExportArchive()
    archive.track(model)
    images = tf.TensorSpec([None, height, width, channels], tf.float32, name="image")
    archive.add_endpoint("serve", serve, input_signature=[images])
    archive.add_endpoint("serve_bytes", serve_bytes, [tf.TensorSpec([None], tf.string, name="image_bytes")])
    archive.write_out(str(path), verbose=False)


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
