"""What an attacker maximizes: one number per example, larger is more adversarial.

Each objective is a function `(logits [batch, classes], labels int [batch]) -> float32 [batch]`. None of them
averages over the batch, so a gradient never depends on who else is in it.
"""

from collections.abc import Callable

import tensorflow as tf

from tfrobust.errors import InputError

Objective = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # (logits [batch, classes], labels [batch]) -> float32 [batch]


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """-log softmax(logits)[label] (Goodfellow et al., ICLR 2015, eq. for J)."""
    logits = _in_full_vectors(logits)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def log_odds(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """log((1 - p) / p) for the label's probability p. Orders as the cross-entropy does, and where that is 0, too.

    That is where p rounds to 1 in float32: a margin above 17.
    """
    correct = of_class(logits, labels)
    is_label = tf.one_hot(labels, tf.shape(logits)[1], on_value=True, off_value=False)
    wrong = tf.where(is_label, logits.dtype.min, logits)
    # log(sum(exp(wrong))) by the kernel of the cross-entropy: the gradient of a logarithm takes approximate reciprocals.
    likeliest = tf.argmax(wrong, axis=1, output_type=tf.int32)
    return cross_entropy(wrong, likeliest) + of_class(wrong, likeliest) - correct


def margin(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Largest wrong logit minus the label's logit: positive exactly where the prediction is wrong.

    Carlini and Wagner, S&P 2017, f_6 without the confidence term.
    """
    correct = of_class(logits, labels)
    return tf.reduce_max(without(logits, labels), axis=1) - correct


def dlr(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Difference of logits ratio, invariant to shift and scale of the logits (Croce and Hein, ICML 2020, eq. 6).

    Raises:
      InputError: for fewer than three classes.
    """
    if logits.shape[1] < 3:
        raise InputError(f"objective dlr needs three classes or more, the model has {logits.shape[1]}: use margin")
    ordered = tf.math.top_k(logits, 3).values
    return margin(logits, labels) / (ordered[:, 0] - ordered[:, 2] + 1e-12)


def dlr_or_margin(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The difference of logits ratio, or the margin for two classes, for which that is not defined."""
    return (dlr if logits.shape[1] >= 3 else margin)(logits, labels)


def targeted_margin(logits: tf.Tensor, labels: tf.Tensor, goals: tf.Tensor) -> tf.Tensor:
    """The goal's logit minus the label's: whether the model prefers the one to the other."""
    return of_class(logits, goals) - of_class(logits, labels)


def targeted_dlr(logits: tf.Tensor, labels: tf.Tensor, goals: tf.Tensor) -> tf.Tensor:
    """The targeted difference of logits ratio (Croce and Hein, ICML 2020, eq. 7).

    Args:
      logits: float32 [batch, classes].
      labels: int [batch], the true labels.
      goals: int [batch], the labels that the attacker wants.

    Raises:
      InputError: for fewer than four classes.
    """
    if logits.shape[1] < 4:
        raise InputError(f"targeted_dlr needs four classes or more, the model has {logits.shape[1]}")
    ordered = tf.math.top_k(logits, 4).values
    spread = ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2.0
    return targeted_margin(logits, labels, goals) / (spread + 1e-12)


def of_class(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Each example's logit of a class, int [batch] -> [batch].

    `tf.gather(batch_dims=1)` says the same, but its gradient is made of a hundred operations: half of the time that an
    attack on a small model takes eagerly, and much of its tracing.
    """
    rows = tf.range(tf.shape(logits)[0])
    return tf.gather_nd(logits, tf.stack([rows, tf.cast(classes, tf.int32)], axis=1))


def without(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The logits with the labels' at minus infinity, so that what is largest is another class's."""
    is_label = tf.one_hot(labels, tf.shape(logits)[1], on_value=True, off_value=False)
    return tf.where(is_label, tf.constant(float("-inf"), logits.dtype), logits)


def _in_full_vectors(logits):
    """Logits with classes of probability zero, up to full vectors of 16.

    A kernel rounds what is left after its last full vector differently, and so by an example's place in the batch.
    """
    return tf.pad(logits, [[0, 0], [0, -logits.shape[1] % 16]], constant_values=logits.dtype.min)
