"""The shrinking loop in closed form: a countdown per example."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks import active
from tfrobust.attacks.problem import Problem

TURNS = np.array([3, 1, 5, 2, 5])
IMAGES = np.zeros([5, 1, 1, 1], "float32")
LABELS = np.array([10, 11, 12, 13, 14])


def countdown(steps, done=None, sizes=None):
    """(the label, the number of steps) of each example, which is done after as many steps as it has turns."""
    problem = Problem(lambda images: images, IMAGES, LABELS)

    def step(count, here, left):
        if sizes is not None:
            sizes.append(len(left))
        taken = tf.fill(tf.shape(left), count + 1)
        return left - 1, (here.labels, (here.rows, taken)), left == 1

    nothing = tf.zeros_like(LABELS, tf.int32)
    labels, (rows, taken) = active.loop(
        step, problem, tf.constant(TURNS), (nothing, (nothing, nothing)), steps, done=done
    )
    return np.stack([labels, rows, taken], axis=1).tolist()


def compiled(steps, done=None):
    problem = Problem(lambda images: images, IMAGES, LABELS)

    @tf.function(autograph=False)
    def run(turns):
        def step(count, here, left):
            return left - 1, tf.stack([here.labels, here.rows, tf.fill(tf.shape(left), count + 1)], axis=1), left == 1

        return active.loop(step, problem, turns, tf.zeros([5, 3], tf.int32), steps, done=done)

    return run(tf.constant(TURNS)).numpy().tolist()


def test_the_batch_shrinks_and_results_land_in_their_rows():
    sizes = []
    assert countdown(9, sizes=sizes) == [[10, 0, 3], [11, 1, 1], [12, 2, 5], [13, 3, 2], [14, 4, 5]]
    assert sizes == [5, 4, 3, 2, 2]  # and no step without an example


def test_what_is_not_done_returns_the_result_of_the_last_step():
    assert countdown(2) == [[10, 0, 2], [11, 1, 1], [12, 2, 2], [13, 3, 2], [14, 4, 2]]


def test_what_is_done_at_the_start_keeps_its_result():
    sizes = []
    done = tf.constant([False, True, False, True, True])
    assert countdown(9, done, sizes) == [[10, 0, 3], [0, 0, 0], [12, 2, 5], [0, 0, 0], [0, 0, 0]]
    assert sizes == [2, 2, 2, 1, 1]
    assert countdown(9, tf.fill([5], True)) == [[0, 0, 0]] * 5


def test_no_steps_return_what_came():
    sizes = []
    assert countdown(0, sizes=sizes) == [[0, 0, 0]] * 5 and sizes == []


@pytest.mark.parametrize("steps", [0, 2, 9])
@pytest.mark.parametrize("done", [None, [False, True, False, True, True], [True] * 5])
def test_eager_equals_compiled(steps, done):
    done = None if done is None else tf.constant(done)
    assert compiled(steps, done) == countdown(steps, done)
