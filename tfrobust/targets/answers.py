"""What models answer: logits, probabilities or labels; and probabilities as a target that attacks can use."""

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfrobust.attacks import Access, Attack
from tfrobust.errors import InputError
from tfrobust.targets.target import ImageRows, Target

if TYPE_CHECKING:  # its package imports this module
    from tfrobust.targets.serving.probe import Probe

_SUM = 0.05  # the largest relative difference of two sums of rounded probabilities: 8 bits, percents, three decimals
_LEAST = 1e-30  # of a probability, so that its logarithm is finite


class _Rewritten(Target):
    """A target whose answers are given in another form."""

    def __init__(self, target: Target):
        super().__init__(target.name, target.input_shape, target.bounds)
        self.target, self.access, self.origin, self.local = target, target.access, target.origin, target.local
        self.takes_files, self.concurrent = target.takes_files, target.concurrent

    def check(self, images: np.ndarray | tf.Tensor) -> None:
        self.target.check(images)

    def probe(self, images: ImageRows) -> "Probe | None":
        return self.target.probe(images)

    def about(self) -> dict | None:
        return self.target.about()

    def attacked_by(self, attack: Attack) -> Target:
        """The target that an attack runs on: this one; else what the target inside names, whose answers are logits."""
        return self if self.allows(attack) else self.target.attacked_by(attack)

    def represents(self, victim: Target) -> bool:
        return victim is self or self.target.represents(victim)


class LogProbabilities(_Rewritten):
    """The logarithm of a target's probabilities, of whatever sum: logits of the same probabilities.

    Args:
      target: a `Target` that answers with probabilities.
    """

    kind = "probabilities"

    def logits(self, images: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
        probabilities = self.target.logits(images)
        if not self.in_graph:
            probabilities = np.maximum(np.asarray(probabilities, "float32"), _LEAST)
            return np.log(probabilities / probabilities.sum(axis=1, keepdims=True))
        probabilities = tf.maximum(tf.cast(probabilities, tf.float32), _LEAST)
        return tf.math.log(probabilities / tf.reduce_sum(probabilities, axis=1, keepdims=True))

    def identity(self) -> str | None:
        inner = self.target.identity()
        return inner and f"log {inner}"


class OneScore(_Rewritten):
    """Logits of no and yes from a target that gives one number, the score or the probability of yes.

    Args:
      target: a `Target` that answers [batch, 1] or [batch].
      probability: whether the number is one; else it is a logit, positive for yes.
    """

    def __init__(self, target: Target, probability: bool):
        super().__init__(target)
        self._probability = probability

    @property
    def kind(self):
        """What the target answers with."""
        return "probabilities" if self._probability else "logits"

    def logits(self, images):
        yes = self.target.logits(images)
        if not self.in_graph:
            return _no_and_yes(np, np.asarray(yes, "float32").reshape(-1, 1), np.log, np.concatenate, self._probability)
        return _no_and_yes(tf, tf.reshape(tf.cast(yes, tf.float32), [-1, 1]), tf.math.log, tf.concat, self._probability)

    def identity(self):
        inner = self.target.identity()
        return inner and f"{'odds' if self._probability else 'score'} {inner}"


def _no_and_yes(library, yes, log, concatenate, probability):
    """Logits [batch, 2] by NumPy or TensorFlow."""
    if not probability:
        return concatenate([library.zeros_like(yes), yes], axis=1)
    both = library.maximum(concatenate([1 - yes, yes], axis=1), np.float32(_LEAST))
    return log(both)


def at_logits(target: Target, answers: ArrayLike) -> Target:
    """The target whose answers are logits, given what it answers for some images.

    Raises:
      InputError: for answers that are neither logits nor probabilities nor, with decision-based access, labels.
    """
    answers = np.asarray(answers)
    if target.access is not Access.DECISION_BASED and _is_one_score(answers):
        check_finite(answers, target.name)
        return OneScore(target, probability=bool(answers.min() >= 0 and answers.max() <= 1))
    check_answers(answers, target)
    return LogProbabilities(target) if are_probabilities(answers) else target


def _is_one_score(answers):
    return np.issubdtype(answers.dtype, np.floating) and (answers.ndim == 1 or answers.shape[1:] == (1,))


def are_probabilities(answers: ArrayLike) -> bool:
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


def check_answers(answers: ArrayLike, target: Target) -> None:
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
    check_finite(answers, target.name)
    if np.isin(answers, (answers.min(), answers.max())).all() and are_probabilities(answers) and len(answers) > 1:
        raise InputError(
            f"{target.name} gives labels as one-hot rows, in which no score can rise: make it "
            "FunctionTarget(function, 'decision-based') with a function that gives labels, and use attacks such as "
            "boundary() or hop_skip_jump(linf)"
        )


def check_finite(answers, name) -> None:
    """Raises `InputError` for NaN or infinite answers [batch, ...]."""
    bad = ~np.isfinite(answers).reshape(len(answers), -1).all(axis=1)
    if bad.any():
        raise InputError(f"{name} gives NaN or infinite logits, first for image {int(np.flatnonzero(bad)[0])}")


def check_logits(logits: ArrayLike, name: str) -> None:
    """Raises `InputError` if a network's outputs are not logits, as training and export need them."""
    logits = np.asarray(logits)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise InputError(f"{name} must give logits [batch, classes] with two classes or more, got {logits.shape}")
    check_finite(logits, name)
    if logits.min() >= 0 and logits.max() <= 1 and np.allclose(logits.sum(axis=1), 1, atol=1e-3):
        raise InputError(
            f"{name} gives probabilities, which hide gradients from attacks: remove its softmax so that it gives logits"
        )
