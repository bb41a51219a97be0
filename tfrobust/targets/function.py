"""Any Python function as a target: a client of a server, another framework, a device."""

import inspect
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Access
from tfrobust.errors import InputError
from tfrobust.targets.target import Target


class FunctionTarget(Target):
    """What a function answers for images, without gradients.

    Args:
      function: from float32 NumPy images [batch, height, width, channels] in [0, 1] to logits or probabilities
        [batch, classes], one score of two classes [batch, 1], or, if it gives labels only, to int [batch].
      access: `Access.SCORE_BASED` or `Access.DECISION_BASED`, or "score-based" or "decision-based".
      classes: the number of classes, against which labels are checked; None: any.
      name: for reports; default: the function's.
      bounds: the scale of the images that it takes, such as (0, 255), instead of [0, 1].

    Raises:
      InputError: for another access.

    Example:
      >>> bright = FunctionTarget(lambda images: images.mean(axis=(1, 2, 3)) > 0.5, "decision-based")
      >>> str(bright.access)
      'decision-based'
    """

    local = False

    def __init__(
        self,
        function: Callable[[np.ndarray], np.ndarray],
        access: Access | str = Access.SCORE_BASED,
        classes: int | None = None,
        name: str | None = None,
        bounds: tuple[float, float] | None = None,
    ):
        super().__init__(name or _name(function), (None, None, None), bounds)
        self.function, self.access, self.classes = function, _black_box(access), classes

    def logits(self, images: np.ndarray | tf.Tensor) -> np.ndarray:
        """The function's scores or, with decision-based access, its labels."""
        answers = np.asarray(self.function(self.scale.scale(np.asarray(images, "float32"))))
        if self.access is Access.SCORE_BASED:
            return answers.astype("float32")
        if answers.shape != (len(images),):
            raise InputError(f"{self.name} must give one label for each of {len(images)} images, got {answers.shape}")
        answers = answers.astype("int64")
        if self.classes and not (answers.min() >= 0 and answers.max() < self.classes):
            raise InputError(f"{self.name} gives the label {answers.max()}, but has {self.classes} classes")
        return answers


def _black_box(access: Access | str) -> Access:
    """The access that a function can allow, from its name or itself."""
    for possible in (Access.SCORE_BASED, Access.DECISION_BASED):
        if access in (possible, str(possible)):
            return possible
    raise InputError(
        f"a Python function allows score-based or decision-based attacks, got access={str(access)!r}: "
        "for white-box access give the Keras model or the SavedModel itself"
    )


def _name(function) -> str:
    return function.__name__ if inspect.isroutine(function) else type(function).__name__
