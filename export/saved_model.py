"""Writes a model as a SavedModel that TF Serving loads as it is.

    python -m export.saved_model --model=runs/lenet/model.keras --output=models/lenet --serving=serving

The version folder, the next number in --output, gets two signatures, both giving `logits`, `probabilities` and `classes`:
  serving_default (also `serve`)   `image`: float32 [batch, height, width, channels] in [0, 1]
  serve_bytes                      `image_bytes`: PNG or JPEG files, string [batch]
and, with --class_names, `class_names`. --loss_and_gradient adds a signature of that name, for tests:
  `image` and `label`, int64 [batch] -> `loss`, the cross-entropy [batch], and `gradient` of each image's loss with respect to it

Of a file of another size the largest centered part of the wanted proportions is resized bilinearly with antialiasing, as
in every evaluation here; gray files become RGB, but PNG files of 16 bits are refused, and color where the model takes gray.
Images of another shape are an error of the request: without that, one of another rank ends some servers. A model of mixed
precision is rebuilt in float32.

Beside the graph lie `manifest.json`, with the SHA-256 of every file, which export.verify checks, and a request for each signature
that TF Serving answers before the version goes live. --serving writes what a server is started with, for all models in the
folder that --output lies in: models.config, batching.config, monitoring.config, compose.yaml and kubernetes.yaml.

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
from export.serving import configuration, manifest, warm_up
from tfrobust import files
from tfrobust.cli import data, program, quiet

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras

VERSION = flags.DEFINE_integer(
    "version", None, "The version, a folder of that number in --output; default: the next one.", lower_bound=1
)
LOSS_AND_GRADIENT = flags.DEFINE_boolean("loss_and_gradient", False, "Add a signature with the gradient of the loss.")
SERVING = flags.DEFINE_string("serving", None, "Folder for the files that TF Serving is started with.")
TOLERANCE = 1e-4
_COMPARED = 16  # random images


def main():
    paths, number, serving = export_flags.from_flags(), VERSION.value, SERVING.value and pathlib.Path(SERVING.value)
    class_names, loss_and_gradient = export_flags.CLASS_NAMES.value, LOSS_AND_GRADIENT.value
    if number is not None and (paths.output / str(number)).exists():
        raise tfr.InputError(f"{paths.output / str(number)} exists; give another --version or none, for the next one")
    for folder in [paths.output, *([serving] if serving else [])]:
        files.check_writable(folder)
    quiet.start_tensorflow()
    model = network.load(paths.model)
    with files.temporary(paths.output / "version") as path:
        write(model, path, class_names, loss_and_gradient)
        reference = tfr.targets.KerasTarget(model, paths.model)
        difference = largest_difference(reference, tfr.targets.SavedModelTarget(path))
        print(f"largest logit difference to {reference.name}: {difference:.2g}")
        if largest_difference(reference, reference) > TOLERANCE:
            print("the model answers differently each time: this difference says nothing")
        elif difference > TOLERANCE:
            print(f"failed: the logits differ by more than {TOLERANCE:g}; nothing was exported")
            sys.exit(1)  # inside the block, so that nothing appears
        add_what_is_served_with_it(path, paths, model, difference)
        print(f"saved model: {published(path, paths.output, number)}")
    if serving:
        configuration.write(paths.output.parent, serving)
        print(f"serving: {configuration.docker_run(paths.output.parent, serving)}")


def add_what_is_served_with_it(path: pathlib.Path, paths: export_flags.Paths, model, difference: float) -> None:
    """Writes requests that warm it up and, last, its manifest."""
    import numpy as np
    import tensorflow as tf

    height, width, channels = model.input_shape[1:]
    black = np.zeros((1, height, width, channels), "float32")
    requests = {"serving_default": {"image": black}}
    if channels in (1, 3):
        contents = tf.io.encode_png(black[0].astype("uint8")).numpy()
        requests["serve_bytes"] = {"image_bytes": np.array([contents], object)}
    try:
        warm_up.write(path, paths.output.resolve().name, requests)
    except tfr.InputError as error:
        print(f"no warm-up requests: {error}")
    manifest.write(
        path,
        model=paths.model,
        versions=tfr.evaluation.report.versions(),
        verification={"images": _COMPARED, "largest_logit_difference": difference, "tolerance": TOLERANCE},
    )


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


def write(
    model: "keras.Model",
    path: str | os.PathLike,
    class_names: str | os.PathLike | None = None,
    loss_and_gradient: bool = False,
) -> None:
    """Writes a Keras model from images to logits as a SavedModel with the signatures above.

    Args:
      model: see above.
      path: the folder to be made.
      class_names: a text file with a line for each of its classes, which becomes an asset of the SavedModel.
      loss_and_gradient: whether it gets that signature.

    Raises:
      InputError: for another number of lines than the model has classes, and where the disk is full.
    """
    import keras
    import tensorflow as tf

    from export import signatures

    names = None if class_names is None else _table(class_names, model.output_shape[-1])
    archive = keras.export.ExportArchive()
    archive.track(model)
    if names is not None:
        archive.track(names)
    signatures.Signatures(model, names).add_to(archive, loss_and_gradient)
    try:
        archive.write_out(str(path), verbose=False)
    except tf.errors.OpError as error:  # such as of a full disk
        cause = error.message.rpartition("; ")[2]
        raise tfr.InputError(f"{path} cannot be written: {cause}") from error


def _table(class_names, classes):
    """A table from a class to its name. Its file becomes an asset of what it is tracked by."""
    import tensorflow as tf

    names = export_flags.class_names(class_names, classes)
    line = tf.lookup.TextFileIndex
    lines = tf.lookup.TextFileInitializer(
        class_names, tf.int64, line.LINE_NUMBER, tf.string, line.WHOLE_LINE, vocab_size=len(names)
    )
    return tf.lookup.StaticHashTable(lines, default_value="")


def largest_difference(
    reference: "tfr.targets.Target", target: "tfr.targets.Target", examples: int = _COMPARED
) -> float:
    """The largest absolute difference between the logits of two targets, on random images."""
    import numpy as np

    images = np.random.default_rng(0).random((examples, *reference.input_shape), dtype="float32")
    expected = reference.predictor()(images)
    return float(np.abs(expected - target.predictor()(images)).max())


flags.adopt_module_key_flags(data)
flags.adopt_module_key_flags(export_flags)

if __name__ == "__main__":
    program.run(main)
