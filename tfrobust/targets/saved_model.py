"""A SavedModel directory as a target: what TF Serving would load, attacked through its own graph."""

import functools
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Access
from tfrobust.errors import InputError
from tfrobust.targets import identity, outputs, saved_model_graph
from tfrobust.targets.bounds import Bounds
from tfrobust.targets.inputs import Inputs
from tfrobust.targets.target import Target, compiled, first_line

_Function = tf.types.experimental.PolymorphicFunction


class SavedModelTarget(Target):
    """A signature of a SavedModel. Gradients flow through the loaded graph, unless it takes integers.

    Args:
      path: the directory with `saved_model.pb`, or its parent with numbered versions, of which the highest is taken
        as TF Serving does.
      bounds: the scale of the images that it takes, such as (0, 255); None: (0, 1), or (0, 255) for integers. The
        target takes [0, 1] and scales inside.
      signature: its name, or that of a `tf.function` of the module; None: serving_default, else the only one.
      output_name: which of several outputs holds the scores; None: the one named logits or output, else the only one.

    Raises:
      InputError: where there is no SavedModel, it is damaged, has no such signature from images to scores, or would read
        or write files.
    """

    def __init__(
        self,
        path: str | pathlib.Path,
        *,
        bounds: tuple[float, float] | str | None = None,
        signature: str | None = None,
        output_name: str | None = None,
    ):
        directory = self._path = version_directory(path)
        saved_model_graph.refuse_hostile(directory, signature)
        try:
            self._module = tf.saved_model.load(str(directory))  # kept: the signature alone does not hold its variables
        except Exception as error:  # the loader raises whatever a damaged file leads it to
            raise InputError(f"{directory} is not a readable SavedModel: {first_line(error)}") from error
        name, self._signature = _signature(self._module, signature, directory)
        (positional, inputs) = self._signature.structured_input_signature
        specifications = [*positional, *inputs.values()]
        if len(specifications) != 1 or not isinstance(specifications[0], tf.TensorSpec):
            raise InputError(f"{directory}: {name} takes {len(specifications)} inputs, expected one batch of images")
        self._keyword = next(iter(inputs), None)
        shape = None if specifications[0].shape.rank is None else specifications[0].shape
        self._inputs = Inputs.of(f"{directory}: {name}", shape, specifications[0].dtype, Bounds.of(bounds))
        super().__init__(path, self._inputs.shape, bounds)
        self.access = Access.WHITE_BOX if self._inputs.differentiable else Access.SCORE_BASED
        if not self._inputs.differentiable:
            self.bounds = self._inputs.bounds
        self._output_name = output_name
        outputs.chosen(self._signature.structured_outputs, output_name, self.name)
        self._choice = f"{name} {output_name} {self.scale}"

    def identity(self) -> str | None:
        return f"{identity.of_files(self._path)} {self._choice}"

    def logits(self, images: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
        if not self.in_graph:
            return self._in_graph(tf.constant(images, tf.float32)).numpy()
        return self._answers(images)

    def predictor(self) -> Callable[[np.ndarray], np.ndarray]:
        predict = super().predictor()

        def answer(images):
            try:
                return predict(images)
            except (tf.errors.OpError, ValueError, TypeError, LookupError) as error:  # whatever its graph leads to
                raise InputError(f"{self.name} cannot be run: {first_line(error)}") from error

        return answer

    @functools.cached_property
    def _in_graph(self):
        return compiled(self._answers)

    def _answers(self, images):
        return tf.cast(self._inputs.answers(self._scores, images), tf.float32)

    def _scores(self, fed):
        answers = self._signature(**{self._keyword: fed}) if self._keyword else self._signature(fed)
        return outputs.chosen(answers, self._output_name, self.name)


def _signature(module, name, directory):
    """The name and the function of a signature: the one asked for, else serving_default, else the only one."""
    known = dict(module.signatures)
    functions = {key: value for key, value in vars(module).items() if isinstance(value, _Function)}
    names = [name] if name else [key for key in ("serving_default", "serve") if key in known] or [*(known or functions)]
    if len(names) != 1 and "serving_default" not in names:
        raise InputError(f"{directory} has {_listed(known, functions)}: name one by signature= (flag --signature)")
    if names[0] in known:
        return names[0], known[names[0]]
    if names[0] not in functions:
        raise InputError(f"{directory} has no signature {names[0]}, but {_listed(known, functions)}")
    concrete = functions[names[0]].concrete_functions
    if len(concrete) != 1:
        raise InputError(
            f"{directory}: {names[0]} was saved for {len(concrete)} kinds of input: save it as a signature, by "
            "tf.saved_model.save(module, path, signatures={'serving_default': function})"
        )
    return names[0], concrete[0]


def _listed(known, functions):
    names = ", ".join({**known, **functions})
    return f"the signatures {names}" if names else "no signatures"


def version_directory(path):
    """`path` itself if it holds a SavedModel, else its highest numbered version."""
    path = pathlib.Path(path)
    if (path / "saved_model.pb").exists():
        return path
    versions = [entry for entry in path.iterdir() if entry.is_dir() and entry.name.isdecimal()] if path.is_dir() else []
    if not versions:
        raise InputError(f"{path} holds neither saved_model.pb nor numbered versions")
    return max(versions, key=lambda entry: int(entry.name))
