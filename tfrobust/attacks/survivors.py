"""Attacks that run several times: each run only on the examples that the runs before have left unbroken."""

import tensorflow as tf

from tfrobust import gradients, objectives


def standing(logits_fn, images, labels):
    """The examples that are classified correctly: (rows int32 [standing], logits float32 [batch, classes])."""
    logits = tf.cast(tf.convert_to_tensor(logits_fn(images)), tf.float32)
    right = tf.argmax(logits, axis=1, output_type=tf.int32) == labels
    return tf.cast(tf.where(right)[:, 0], tf.int32), logits


def repeat(run, times, images, rows):
    """Runs an attack up to `times` times.

    Args:
      run: (index int32, rows int32 [standing]) -> (images float32 [standing, ...], broken bool [standing]).
      times: the number of runs, an int.
      images: float32 [batch, height, width, channels], returned for the examples that are not in `rows`.
      rows: int32 [standing], the examples that the first run is for.

    Returns:
      (float32 [batch, ...]: what the first run that broke an example made of it, else what the last one did;
       int32 [standing]: the rows that no run broke).
    """

    def again(index, final, rows):
        made, broken = run(index, rows)
        final = tf.tensor_scatter_nd_update(final, rows[:, None], made)
        return index + 1, final, tf.boolean_mask(rows, ~broken)

    return tf.while_loop(
        lambda index, final, rows: tf.size(rows) > 0,
        again,
        (tf.constant(0), tf.convert_to_tensor(images), rows),
        shape_invariants=(tf.TensorShape([]), images.shape, tf.TensorShape([None])),
        maximum_iterations=times,
    )[1:]


def margins(logits_fn, rows, images, labels):
    """The margins of some examples: positive where the prediction is wrong. One query each.

    Args:
      logits_fn: of the whole batch.
      rows: int32 [working].
      images, labels: those of these rows.
    """
    logits = tf.convert_to_tensor(gradients.for_rows(logits_fn, rows)(images))
    return objectives.margin(tf.cast(logits, tf.float32), labels)
