"""Which of a model's outputs are its scores, and the scores before a last softmax or sigmoid."""

from collections.abc import Iterable, Mapping, Sequence

import tensorflow as tf

from tfrobust.errors import InputError

PREFERRED = ("logits", "output")
_UNCHANGED = {"Identity", "Cast", "EnsureShape", "Reshape", "Squeeze", "ExpandDims"}  # nothing but form


def named(names: Iterable[str], output_name: str | None, model: str) -> str:
    """Which of several outputs is meant: the one asked for, else the one named logits or output, else the only one.

    Raises:
      InputError: naming what there is.
    """
    known = list(names)
    if output_name is not None and output_name not in known:
        raise InputError(f"{model} has no output {output_name!r}, but {_listed(known)}")
    for name in PREFERRED if output_name is None else (output_name,):
        if name in known:
            return name
    if len(known) != 1:
        raise InputError(
            f"{model} gives {len(known)} outputs, {_listed(known)}: name the one with the scores [batch, classes] by "
            "output_name= (flag --output_name), or call it logits"
        )
    return known[0]


def chosen(answers, output_name: str | None, model: str, names: Sequence[str] = ()) -> tf.Tensor:
    """The scores among a model's answers: a tensor, or a mapping or sequence of them.

    Args:
      answers: what the model returns.
      output_name: the one that is meant, or None.
      model: its name, for messages.
      names: of the outputs in a sequence, if known; they are also output_0, output_1 and so on.

    Raises:
      InputError: if it is not clear which one is meant.
    """
    if isinstance(answers, Mapping):
        return answers[named(answers, output_name, model)]
    if isinstance(answers, list | tuple):
        places = [f"output_{place}" for place in range(len(answers))]
        names = places if output_name in places or len(names) != len(answers) else list(names)
        return answers[names.index(named(names, output_name, model))]
    if output_name is not None:
        named(names or ["output_0"], output_name, model)
    return answers


def before_activation(answers: tf.Tensor, model: str) -> tf.Tensor:
    """float32 logits [batch, classes]: what a graph's last softmax or one sigmoid was given, else its answers.

    One sigmoid is two classes with the logits (0, z).

    Args:
      answers: of a model, in the graph of a `tf.function` in which it was called.
      model: its name, for messages.

    Raises:
      InputError: for several sigmoids, which are no choice of one class.
    """
    last, classes = last_operation(answers), answers.shape[-1] if answers.shape.rank == 2 else 1
    if last.type == "Sigmoid" and classes is not None and classes > 1:
        raise several_sigmoids(model, classes)
    if last.type not in ("Softmax", "Sigmoid") or answers.shape.rank not in (1, 2):
        return tf.cast(answers, tf.float32)
    scores = tf.cast(last.inputs[0], tf.float32)
    if scores.shape.rank != answers.shape.rank:
        scores = tf.ensure_shape(tf.reshape(scores, tf.shape(answers)), answers.shape)
    return two_classes(scores) if last.type == "Sigmoid" else scores


def last_operation(answers: tf.Tensor) -> tf.Operation:
    """The last operation in a graph that does more than change the form."""
    operation = answers.op
    while operation.type in _UNCHANGED:
        operation = operation.inputs[0].op
    return operation


def two_classes(score: tf.Tensor) -> tf.Tensor:
    """Logits [batch, 2] of no and yes, from the score [batch, 1] or [batch] of yes."""
    score = tf.reshape(score, [-1, 1])
    return tf.concat([tf.zeros_like(score), score], axis=1)


def several_sigmoids(model: str, count: int) -> InputError:
    """The refusal of a model that answers several questions."""
    return InputError(
        f"{model} ends in {count} sigmoids, which are {count} independent answers of yes or no and not a choice of one "
        "class: robust accuracy is defined for a softmax (or logits) over the classes, or one sigmoid for two classes"
    )


def _listed(names):
    return ", ".join(map(str, names)) or "none"
