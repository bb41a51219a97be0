"""A batch on all devices of the current strategy, in equal parts: of one machine, or of all workers together."""

from collections.abc import Callable

import tensorflow as tf


def count() -> int:
    """How many devices share each batch."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def shared(function: Callable, alone: Callable) -> Callable:
    """A function of a batch, computed in equal parts on all devices of the current strategy.

    Args:
      function: from tensors or arrays [batch, ...] to a tensor [batch, ...], or a dict or tuple of such.
      alone: the same for one device, compiled as its caller likes; it is returned where there is one.

    Returns:
      A function of batches of any size: the last part is filled up with the first row, which is cut off again.

    Example:
      >>> with tf.distribute.MirroredStrategy().scope():
      ...     answers = shared(target.logits, target.predictor())(images)
    """
    strategy, devices = tf.distribute.get_strategy(), count()
    if devices == 1:
        return alone

    @tf.function(autograph=False)
    def compute(parts):
        made = strategy.run(function, args=parts)
        return tf.nest.map_structure(lambda part: strategy.gather(part, axis=0), made)

    def split(array):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.split(array, devices)[context.replica_id_in_sync_group]
        )

    def call(*arrays):
        size = len(arrays[0])
        filled = tf.concat([tf.range(size), tf.zeros([-size % devices], tf.int32)], axis=0)
        made = compute([split(tf.gather(array, filled) if size % devices else array) for array in arrays])
        return tf.nest.map_structure(lambda part: part[:size], made)

    return call
