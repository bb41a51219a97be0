"""The one loop whose examples leave it: what is done is put aside, and the rest goes on as a smaller batch."""

from collections.abc import Callable

import tensorflow as tf

from tfrobust.attacks.problem import Problem


def loop(step: Callable, problem: Problem, state, result, steps, done=None):
    """Steps until every example is done, or `steps` times.

    Eagerly this is a Python loop, so that the model may be any Python function; compiled, it is a `tf.while_loop`, whose
    shape invariants let the batch shrink.

    Args:
      step: (count int32, problem, state) -> (state, result, done bool [active]), of the active examples: `problem` and
        `state` hold only these. `count` is the number of steps before.
      problem: of all examples.
      state: a nest of tensors [examples, ...], what goes from step to step.
      result: a nest of tensors [examples, ...], of examples for which there is no step. `step` returns it anew.
      steps: the largest number of steps.
      done: bool [examples], those for which there is no step; default: none.

    Returns:
      The result of each example's last step: a nest of tensors [examples, ...].

    Example:
      >>> problem = Problem(model, images, labels)
      >>> def step(count, here, x):
      ...     x = x + 0.1 * here.value_and_gradient(objectives.margin, x)[1]
      ...     return x, x, here.succeeds(x)
      >>> adversarial = loop(step, problem, images, images, steps=10)
    """

    def advance(count, result, rows, parts, state):
        state, found, done = step(count, problem.replace(**parts), state)
        result = tf.nest.map_structure(
            lambda whole, part: tf.tensor_scatter_nd_update(whole, rows[:, None], part), result, found
        )
        return count + 1, result, *_without(done, (rows, parts, state))

    working = (tf.range(tf.shape(problem.labels)[0]), problem.parts(), state)
    if done is not None:
        working = _without(done, working)
    start = (tf.constant(0), result, *working)
    shapes = (tf.TensorShape([]), tf.nest.map_structure(_any_rows, result), *tf.nest.map_structure(_any_rows, working))
    return tf.while_loop(
        lambda count, result, rows, *_: tf.size(rows) > 0,
        advance,
        start,
        shape_invariants=shapes,
        maximum_iterations=steps,
    )[1]


def _any_rows(tensor):
    return tf.TensorShape([None, *tensor.shape[1:]])


def _without(done, nest):
    """The nest without the rows that are done; not a byte is copied if none is."""

    def keep():
        rows = tf.where(~done)[:, 0]
        return tf.nest.map_structure(lambda part: tf.gather(part, rows), nest)

    return tf.cond(tf.reduce_any(done), keep, lambda: nest)
