"""A Keras model, in memory or from a file, as a target."""

import functools
import pathlib
import re

import keras
import numpy as np
import tensorflow as tf

from tfrobust import layers
from tfrobust.attacks import Access
from tfrobust.errors import InputError
from tfrobust.targets import outputs, preprocessing
from tfrobust.targets.inputs import Inputs, zeros
from tfrobust.targets.target import Target, compiled, first_line


class KerasTarget(Target):
    """A Keras model of images: logits, or a last softmax or sigmoid, before which it is attacked.

    The model itself is not changed, except that one without weights yet is built when it sees its first images.

    Args:
      model: any Keras model: functional, sequential or subclassed, with one input. Of several outputs the one named
        logits or output is attacked. One sigmoid is two classes with the logits (0, z).
      name: for reports; default: the model's.
      bounds: the scale of the images that it takes, such as (0, 255) for one with `Rescaling(1 / 255)` inside; None:
        (0, 1), and a model that shows another one is refused. The target takes [0, 1] and scales inside.
      output_name: which of several outputs holds the scores.

    Raises:
      InputError: for a model that is no classifier of images, channels last.

    Example:
      >>> str(KerasTarget(tfrobust.models.lenet()).access)
      'white-box'
      >>> KerasTarget(keras.applications.EfficientNetB0(), bounds=(0, 255)).input_shape
      (224, 224, 3)
    """

    access = Access.WHITE_BOX

    def __init__(
        self,
        model: keras.Model,
        name: str | None = None,
        *,
        bounds: tuple[float, float] | str | None = None,
        output_name: str | None = None,
    ):
        super().__init__(name or model.name, (None, None, None), bounds)
        self.model, self._output_name = model, output_name
        self._inputs = _inputs(model, self.name, self.bounds)
        self.input_shape = self._inputs.shape
        if not self._inputs.differentiable:
            self.access, self.bounds = Access.SCORE_BASED, self._inputs.bounds
        _refuse_channels_first_layers(model, self.name)
        self.origin = self.scale.to_unit(np.asarray(layers.origin(model)))

    def logits(self, images: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
        if not self.in_graph:
            return self._in_graph(tf.constant(images, tf.float32)).numpy()
        return self._answers(images) if tf.inside_function() else self._in_graph(tf.convert_to_tensor(images))

    def check(self, images: np.ndarray | tf.Tensor) -> None:
        if _declared(self.model) is None:
            self.input_shape = tuple(images.shape[1:])
        super().check(images)
        self._build(images)

    @functools.cached_property
    def _in_graph(self):
        return compiled(self._answers)

    def _answers(self, images):
        """In a graph, which shows the model's first and last operations."""
        self._build(images)
        return self._inputs.answers(self._scores, images)

    def _scores(self, fed):
        fed = tf.identity(fed)
        answers = outputs.chosen(self._called(fed), self._output_name, self.name, _output_names(self.model))
        preprocessing.refuse_pixels(fed, self.name, self.bounds)
        return outputs.before_activation(answers, self.name)

    def _called(self, fed):
        try:
            return self.model(_packed(self.model, fed), training=False)
        except InputError:
            raise
        except Exception as error:  # whatever the user's layers raise
            raise InputError(f"{self.name} cannot be run on images {fed.shape}: {_reason(error)}") from error

    def _build(self, images):
        """Makes the weights of a model that has none yet, of the size of these images."""
        if not self.model.built:
            with tf.init_scope():
                self._called(zeros(self._inputs, images))


def load_model(path: str | pathlib.Path) -> keras.Model:
    """Loads a `.keras` or `.h5` file of a functional or sequential model for inference or further training.

    Raises:
      InputError: for a file that is missing, damaged, or not a model of images with one output.
    """
    model = read_model(path)
    declared = _declared(model)
    if not isinstance(declared, tuple) or len(declared) != 4:
        raise InputError(f"{path} does not take images [batch, height, width, channels], but {declared}")
    if len(model.outputs) != 1:
        raise InputError(f"{path} gives {len(model.outputs)} outputs, expected one: logits [batch, classes]")
    return model


def read_model(path: str | pathlib.Path) -> keras.Model:
    """Loads any Keras model from a `.keras` or `.h5` file.

    Raises:
      InputError: for a file that is missing, damaged, or of layers that are not known.
    """
    if not pathlib.Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # zip, JSON, HDF5 and Keras each have their own
        raise InputError(f"{path} is not a readable Keras model: {first_line(error)}{_advice(path, error)}") from error
    if not isinstance(model, keras.Model):
        raise InputError(f"{path} holds a {type(model).__name__}, expected a Keras model")
    return model


def _reason(error):
    """The line of an error that says what is wrong: Keras puts the layer's name before and the arguments after it."""
    lines = [re.sub(r"\x1b\[\d+m", "", line).strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    return said[0] if said else first_line(error)


def _advice(path, error):
    """What to do about an error of Keras, where it is known."""
    if str(path).endswith(".weights.h5") or "No model config" in str(error):
        return "; it holds weights only: build the model, load_weights, and give the model itself"
    if "register_keras_serializable" in str(error) or "Unknown layer" in str(error) or "custom_objects" in str(error):
        return "; its classes are the user's own: load it where they are known and give the model itself"
    if "Lambda" in str(error) or "unsafe" in str(error):
        return "; if you trust the file, load it by keras.saving.load_model(path, safe_mode=False) and give the model itself"
    return ""


def _inputs(model, name, bounds):
    """What the model declares to take; nothing if it is not built."""
    declared = _declared(model)
    if declared is None:
        return Inputs.of(name, None, tf.float32, bounds)
    shapes = keras.tree.flatten(model.inputs)
    if len(shapes) != 1:
        raise InputError(f"{name} takes {len(shapes)} inputs, expected one batch of images")
    inputs = Inputs.of(name, shapes[0].shape, tf.as_dtype(shapes[0].dtype), bounds)
    return inputs._replace(batch=None)  # Keras itself takes batches of any size


def _declared(model):
    """The input shape of a functional or built sequential model; of another one there is none."""
    try:
        return model.input_shape
    except AttributeError:
        return None


def _output_names(model):
    """Of a functional model; a subclassed one has none."""
    try:
        return list(model.output_names or [])
    except AttributeError:
        return []


def _packed(model, fed):
    """The images as the model takes them: alone, or as the only entry of a dictionary or a list."""
    try:
        structure = model.input
    except AttributeError:
        return fed
    return keras.tree.pack_sequence_as(structure, [fed]) if keras.tree.is_nested(structure) else fed


def _refuse_channels_first_layers(model, name):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _refuse_channels_first_layers(layer, name)
        elif vars(layer).get("data_format") == "channels_first":
            raise InputError(
                f"{name} is channels-first (layer {layer.name}): build it with data_format='channels_last', the only "
                "one that TensorFlow runs on a CPU, and give images [batch, height, width, channels]"
            )
