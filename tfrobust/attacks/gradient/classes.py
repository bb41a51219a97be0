"""A class gradient after the other."""

import tensorflow as tf

_UNROLLED = 10


def fold(function, state, count):
    """`state` after `function(index, state)` for each index below `count`, with one gradient at a time.

    Up to ten are unrolled, which is a fifth faster; more are a loop, which is traced only once. Either way an index is
    there when the state before it is: gradients that wait for nothing would be computed at once, whatever memory that
    takes.

    Args:
      function: (index int32, nest of tensors) -> a nest of the same shapes, whose gradient depends on the index.
      state: a nest of tensors, for index 0.
      count: int.

    Returns:
      A nest of tensors like `state`.

    Example:
      >>> fold(lambda index, total: total + index, tf.constant(0), 4).numpy()
      6
    """
    if count <= _UNROLLED:
        for number in range(count):
            with tf.control_dependencies(tf.nest.flatten(state)):
                index = tf.constant(number)
            state = function(index, state)
        return state
    return tf.while_loop(
        lambda index, _: index < count,
        lambda index, state: (index + 1, function(index, state)),
        (tf.constant(0), state),
        parallel_iterations=1,
    )[1]
