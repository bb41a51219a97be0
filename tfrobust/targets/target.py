"""What every target is: something that answers about images, and the access that it allows an attacker."""

import abc
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Access, Attack
from tfrobust.errors import InputError
from tfrobust.targets import identity
from tfrobust.targets.bounds import UNIT, Bounds

if TYPE_CHECKING:  # its package imports this module
    from tfrobust.targets.serving.probe import Probe


class ImageRows(Protocol):
    """What gives float32 images [rows, height, width, channels] in [0, 1]: an array, or what reads them when asked."""

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


class Target(abc.ABC):
    """Something to attack.

    Attributes:
      name: the path or address, for reports.
      access: what an attacker gets: white-box (a TensorFlow graph that can be differentiated), score-based (the
        logits) or decision-based (the predicted labels). Each allows the attacks of those below it.
      input_shape: (height, width, channels); None where the target does not say.
      origin: the image that its preprocessing maps to zero; None where the target does not say.
      bounds: the scale of the images that the model behind it takes, as the user or the model's type says; None where
        nobody says: [0, 1]. The target takes images in [0, 1] all the same.
      local: whether the model is in this process, so that asking it once more costs nothing.
      resolution: the step between two of its logits, where they are integers inside; 0 of floating-point numbers.
      concurrent: whether it may be asked from several threads at a time, and gains by it.
      takes_files: whether it is sent image files, so that what it sees is in 8 bits.
    """

    access: Access = Access.SCORE_BASED
    origin: np.ndarray | None = None
    local: bool = True
    resolution: float = 0.0
    concurrent: bool = False
    takes_files: bool = False

    def __init__(
        self,
        name: str | pathlib.Path,
        input_shape: Sequence[int | None],
        bounds: tuple[float, float] | str | None = None,
    ):
        self.name = str(name)
        self.input_shape = tuple(input_shape)
        self.bounds = Bounds.of(bounds)

    @property
    def scale(self) -> Bounds:
        """The bounds, [0, 1] where nobody says."""
        return self.bounds or UNIT

    @abc.abstractmethod
    def logits(self, images: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
        """float32 images [batch, height, width, channels] in [0, 1] -> logits [batch, classes].

        Where access is decision-based, labels int [batch] instead. A TensorFlow function of a tensor where `in_graph`,
        else NumPy to NumPy.
        """

    def identity(self) -> str | None:
        """A text that is equal only for targets that answer, and whose gradients are, the same; None: there is none.

        By it, batches that were attacked before are found again.
        """
        return identity.of_graph(self.logits, self.input_shape) if self.in_graph else None

    def probe(self, images: ImageRows) -> "Probe | None":
        """What its answers to a few images are like, for a model that is not in this process: see `serving.Probe`.

        Args:
          images: float32 [images, height, width, channels] in [0, 1], or what gives rows of such: only the first are read.
        """
        return None

    def about(self) -> dict | None:
        """What a report says of it beside its name, for a model that is not in this process."""
        return None

    def mapped(self, change: Callable[["Target"], "Target"]) -> "Target":
        """The target after a change, of each model that it consists of."""
        return change(self)

    @property
    def kind(self) -> str:
        """What it answers with: "logits", "probabilities" or "labels"."""
        return "labels" if self.access is Access.DECISION_BASED else "logits"

    @property
    def in_graph(self) -> bool:
        """Whether `logits` is a TensorFlow function, so that attacks on it can be compiled."""
        return self.access is Access.WHITE_BOX

    def logits_fn(self, images: tf.Tensor) -> tf.Tensor:
        """`logits` as an attack calls it: from a tensor to a tensor; eager only, unless `in_graph`."""
        if self.in_graph:
            return self.logits(images)
        found = np.asarray(self.logits(images.numpy()))
        return tf.constant(found, tf.int32 if self.access is Access.DECISION_BASED else tf.float32)

    def predictor(self) -> Callable[[np.ndarray], np.ndarray]:
        """A function from images to answers, both NumPy, compiled where that can be. Call it with one batch size."""
        if self.in_graph:
            return lambda images: self._compiled(tf.constant(images)).numpy()
        return self.logits

    @functools.cached_property
    def _compiled(self):
        return compiled(self.logits)

    def check(self, images: np.ndarray | tf.Tensor) -> None:
        """Raises `InputError` for images of another shape than the target takes."""
        expected = [size or got for size, got in zip(self.input_shape, images.shape[1:])]
        if list(images.shape[1:]) != expected:
            raise InputError(f"{self.name} takes images of shape {self.input_shape}, got {tuple(images.shape[1:])}")

    def allows(self, attack: Attack) -> bool:
        """Whether the target gives what the attack needs."""
        return attack.needs <= self.access

    def attacked_by(self, attack: Attack) -> "Target":
        """The target that an attack runs on: this one.

        Raises:
          InputError: if the attack needs more than the target allows, saying what to do.
        """
        if self.allows(attack):
            return self
        raise InputError(
            f"{attack} needs {attack.needs} access, but {self.name} allows {self.access} attacks only: choose one that "
            "needs no more, or make it on another model of the same task and transfer it, by "
            "WithSurrogate(target, surrogate) or by the flag --source"
        )

    def represents(self, victim: "Target") -> bool:
        """Whether a model that `attacked_by` has named is this very one, and no surrogate."""
        return victim is self


def compiled(function: Callable) -> Callable:
    """A function of tensors, compiled for each of their shapes and types."""
    traced = tf.function(function, autograph=False)

    def call(*arrays):
        # Traced here: TensorFlow counts traces in calls, of all functions from one place together, and warns of the fifth.
        traced.get_concrete_function(*arrays)
        return traced(*arrays)

    return call


def first_line(error: Exception) -> str:
    """The line of an exception's message that says what is wrong, for a one-line error of our own.

    That is the first, but of an error while a graph runs the last before the names of nodes.
    """
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if lines and lines[0].startswith("Graph execution error"):
        lines = [line for line in lines if not line.startswith("[[")][-1:]
    return next(iter(lines), type(error).__name__)
