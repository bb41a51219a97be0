"""What models answer: logits, probabilities or labels; and probabilities as a target that attacks can use."""

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Access
from tfrobust.errors import InputError
from tfrobust.targets.target import Target

_SUM = 0.05  # the largest relative difference of two sums of rounded probabilities: 8 bits, percents, three decimals
_LEAST = 1e-30  # of a probability, so that its logarithm is finite


class LogProbabilities(Target):
    """The logarithm of a target's probabilities, of whatever sum: logits of the same probabilities.

    Args:
      target: a `Target` that answers with probabilities.
    """

    kind = "probabilities"

    def __init__(self, target: Target):
        super().__init__(target.name, target.input_shape)
        self.target, self.access, self.origin = target, target.access, target.origin

    def logits(self, images):
        probabilities = self.target.logits(images)
        if not self.in_graph:
            probabilities = np.maximum(np.asarray(probabilities, "float32"), _LEAST)
            return np.log(probabilities / probabilities.sum(axis=1, keepdims=True))
        probabilities = tf.maximum(tf.cast(probabilities, tf.float32), _LEAST)
        return tf.math.log(probabilities / tf.reduce_sum(probabilities, axis=1, keepdims=True))

    def identity(self):
        inner = self.target.identity()
        return inner and f"log {inner}"

    def check(self, images):
        self.target.check(images)


def are_probabilities(answers) -> bool:
    """Whether answers [batch, classes] are probabilities: no negative ones, and rows whose sums are nearly constant.

    Rounded ones too, as of float16, of 8 bits, in percent, or with three decimals from a server.
    """
    answers = np.asarray(answers)
    if answers.ndim != 2 or answers.shape[1] < 2 or answers.min() < 0:
        return False
    sums = answers.astype("float64").sum(axis=1)
    if not (sums.min() > 0 and sums.max() - sums.min() <= _SUM * sums.mean()):
        return False
    # Logits behind a large common offset have such sums, too, but none of them is small.
    to_one = abs(sums.mean() - 1.0) <= _SUM
    return bool(to_one or answers.min() < sums.mean() / answers.shape[1] / 2.0)


def check_answers(answers, target: Target) -> None:
    """Checks what a target answers for clean images.

    Raises:
      InputError: for answers that are neither logits nor probabilities nor, with decision-based access, labels.
    """
    answers = np.asarray(answers)
    if target.access is Access.DECISION_BASED:
        if answers.ndim != 1:
            raise InputError(f"{target.name} has decision-based access and must give labels, got {answers.shape}")
        return
    if answers.ndim != 2 or answers.shape[1] < 2:
        raise InputError(
            f"{target.name} must give logits [batch, classes] with two classes or more, got {answers.shape}; a "
            "function that gives labels is FunctionTarget(function, 'decision-based')"
        )
    if not np.all(np.isfinite(answers)):
        row = int(np.flatnonzero(~np.isfinite(answers).all(axis=1))[0])
        raise InputError(f"{target.name} gives NaN or infinite logits, first for image {row}")
    if np.isin(answers, (answers.min(), answers.max())).all() and are_probabilities(answers) and len(answers) > 1:
        raise InputError(
            f"{target.name} gives labels as one-hot rows, in which no score can rise: make it "
            "FunctionTarget(function, 'decision-based') with a function that gives labels, and use attacks such as "
            "boundary() or hop_skip_jump(linf)"
        )


def check_logits(logits, name) -> None:
    """Raises `InputError` if a network's outputs are not logits, as training and export need them."""
    logits = np.asarray(logits)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise InputError(f"{name} must give logits [batch, classes] with two classes or more, got {logits.shape}")
    if not np.all(np.isfinite(logits)):
        raise InputError(f"{name} gives NaN or infinite logits")
    if logits.min() >= 0 and logits.max() <= 1 and np.allclose(logits.sum(axis=1), 1, atol=1e-3):
        raise InputError(
            f"{name} gives probabilities, which hide gradients from attacks: remove its softmax so that it gives logits"
        )
