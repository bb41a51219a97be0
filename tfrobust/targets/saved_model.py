"""A SavedModel directory as a target: what TF Serving would load, attacked through its own graph."""

import pathlib

import tensorflow as tf

from tfrobust.attacks import Access
from tfrobust.errors import InputError
from tfrobust.targets import identity
from tfrobust.targets.target import Target, first_line


class SavedModelTarget(Target):
    """The `serving_default` signature of a SavedModel. Gradients flow through the loaded graph.

    Args:
      path: the directory with `saved_model.pb`, or its parent with numbered versions, of which the highest is taken
        as TF Serving does.

    Raises:
      InputError: where there is no SavedModel, it is damaged, or it has no signature from images to logits.
    """

    access = Access.WHITE_BOX

    def __init__(self, path):
        directory = self._path = version_directory(path)
        try:
            self._module = tf.saved_model.load(str(directory))  # kept: the signature alone does not hold its variables
            self._signature = self._module.signatures["serving_default"]
        except KeyError as error:
            raise InputError(f"{directory} has no signature serving_default") from error
        except Exception as error:  # the loader raises whatever a damaged file leads it to
            raise InputError(f"{directory} is not a readable SavedModel: {first_line(error)}") from error
        (_, inputs), outputs = self._signature.structured_input_signature, self._signature.structured_outputs
        if len(inputs) != 1:
            raise InputError(f"{directory}: serving_default takes {sorted(inputs)}, expected one batch of images")
        self._input, specification = next(iter(inputs.items()))
        if specification.dtype != tf.float32 or specification.shape.rank != 4:
            raise InputError(f"{directory}: serving_default takes {specification}, expected float32 images of rank 4")
        if "logits" not in outputs and len(outputs) != 1:
            raise InputError(f"{directory}: serving_default gives {sorted(outputs)}; one must be named logits")
        self._output = "logits" if "logits" in outputs else next(iter(outputs))
        super().__init__(path, specification.shape[1:])

    def identity(self):
        return identity.of_files(self._path)

    def logits(self, images):
        return self._signature(**{self._input: images})[self._output]


def version_directory(path):
    """`path` itself if it holds a SavedModel, else its highest numbered version."""
    path = pathlib.Path(path)
    if (path / "saved_model.pb").exists():
        return path
    versions = [entry for entry in path.iterdir() if entry.is_dir() and entry.name.isdecimal()] if path.is_dir() else []
    if not versions:
        raise InputError(f"{path} holds neither saved_model.pb nor numbered versions")
    return max(versions, key=lambda entry: int(entry.name))
