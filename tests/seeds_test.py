"""Stateless randomness, one stream per example."""

import numpy as np
import tensorflow as tf

from tfrobust import seeds


def test_seeds_depend_on_the_seed_and_the_index_only():
    indices = tf.constant([4, 0, 9])
    keys = seeds.per_example(3, indices)
    np.testing.assert_array_equal(keys[::-1], seeds.per_example(3, indices[::-1]))
    assert len(np.unique(np.concatenate([keys, seeds.per_example(4, indices)]), axis=0)) == 6


def test_draws_follow_the_example_not_its_place():
    keys = seeds.per_example(0, tf.range(5))
    order = tf.constant([3, 1, 0, 4, 2])
    np.testing.assert_array_equal(tf.gather(seeds.normal(keys, [7]), order), seeds.normal(tf.gather(keys, order), [7]))


def test_streams_of_different_purposes_differ():
    keys = seeds.per_example(0, tf.range(100))
    first, second = (seeds.uniform(seeds.fold_in(keys, purpose), [50]) for purpose in (0, 1))
    correlation = np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]
    assert abs(correlation) < 4 / np.sqrt(5000)  # four standard deviations of independent draws
