"""The query meter, which counts in Python."""

import numpy as np
import tensorflow as tf

from tfrobust.attacks.meter import Meter


def test_takes_what_is_left_of_each_row_in_their_order():
    meter = Meter()
    np.testing.assert_array_equal(meter.start(tf.constant([5, 2]), 2), [5, 2])
    asked = tf.constant([2, 5, 2, 0, 2, 5, 5])
    np.testing.assert_array_equal(meter.take(asked), [True, True, True, False, False, True, False])
    np.testing.assert_array_equal(meter.take(tf.constant([0, 2, 5])), [False] * 3)


def test_starts_anew():
    meter = Meter()
    for _ in range(2):
        rows = meter.start(tf.constant([0, 1]), 1)
        np.testing.assert_array_equal(meter.take(rows), [True, True])
        np.testing.assert_array_equal(meter.take(rows), [False, False])


def test_counts_in_a_graph_too():
    meter = Meter()

    @tf.function(autograph=False)
    def ask():
        rows = meter.start(tf.constant([0, 3]), 3)
        return tf.stack([meter.take(rows) for _ in range(4)])

    for _ in range(2):  # the order of queries in a graph is not fixed, but their number is
        np.testing.assert_array_equal(tf.reduce_sum(tf.cast(ask(), tf.int32), axis=0), [3, 3])
