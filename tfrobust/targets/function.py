"""Any Python function as a target: a client of a server, another framework, a device."""

import numpy as np

from tfrobust.errors import InputError
from tfrobust.targets.target import Target


class FunctionTarget(Target):
    """What a function answers for images, without gradients.

    Args:
      function: from float32 NumPy images [batch, height, width, channels] in [0, 1] to logits [batch, classes] or, if
        it gives labels only, to int [batch].
      gives: "scores" or "labels".
      classes: the number of classes, which labels do not tell.
      name: for reports.

    Raises:
      InputError: for labels without `classes`.

    Example:
      >>> FunctionTarget(lambda images: images.mean(axis=(1, 2, 3)) > 0.5, gives="labels", classes=2).gives
      'labels'
    """

    def __init__(self, function, gives="scores", classes=None, name=None):
        super().__init__(name or getattr(function, "__name__", "function"), (None, None, None))
        if gives not in ("scores", "labels"):
            raise InputError(f"a Python function gives scores or labels, got {gives!r}")
        if gives == "labels" and not classes:
            raise InputError("a function that gives labels needs classes=, the number of classes")
        self.function, self.gives, self.classes = function, gives, classes

    def logits(self, images):
        """The function's scores, or 1 for its label and 0 for the others."""
        answers = np.asarray(self.function(np.asarray(images, "float32")))
        if self.gives == "scores":
            return answers.astype("float32")
        if answers.shape != (len(images),):
            raise InputError(f"{self.name} must give one label for each of {len(images)} images, got {answers.shape}")
        return np.eye(self.classes, dtype="float32")[answers.astype(int)]
