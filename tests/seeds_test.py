"""Stateless randomness, one stream per example."""

import numpy as np
import pytest
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


def test_draws_have_the_moments_they_should():
    """Of a million numbers, to four standard deviations of independent draws."""
    keys = seeds.per_example(5, tf.range(1000))
    uniform, normal = (draw(keys, [1000]).numpy().astype("float64") for draw in (seeds.uniform, seeds.normal))
    for power in (1, 2, 3):
        spread = np.sqrt(1 / (2 * power + 1) - 1 / (power + 1) ** 2)
        assert abs((uniform**power).mean() - 1 / (power + 1)) < 4 * spread / 1000
    assert abs(normal.mean()) < 4 / 1000 and abs(normal.var() - 1) < 4 * np.sqrt(2) / 1000
    assert uniform.min() > 0 and uniform.max() < 1 and np.isfinite(normal).all()


@pytest.mark.parametrize("seed", [0, 1, -1])
def test_first_draws_of_small_seeds_are_spread_out(seed):
    """Of a hash, zeros are where it goes wrong: a thousand first draws, in ten bins."""
    keys = seeds.per_example(seed, tf.range(1000))
    for purpose in (0, 1, -1):
        draws = seeds.uniform(seeds.fold_in(keys, purpose), []).numpy()
        assert np.abs(np.histogram(draws, 10, (0, 1))[0] - 100).max() < 5 * np.sqrt(90)


def test_neighbors_in_a_stream_and_neighboring_examples_do_not_correlate():
    draws = seeds.uniform(seeds.per_example(5, tf.range(1000)), [1000]).numpy()
    for one, other in ((draws[:, 1:], draws[:, :-1]), (draws[1:], draws[:-1])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / 1000


def test_integers_reach_every_value_below_their_limit_alike():
    draws = seeds.integers(seeds.per_example(5, tf.range(1000)), [100, 2], [3, 10]).numpy()
    for column, limit in ((0, 3), (1, 10)):
        counts = np.bincount(draws[..., column].ravel())
        assert len(counts) == limit and np.abs(counts - 1e5 / limit).max() < 4 * np.sqrt(1e5 / limit)


def test_the_largest_and_smallest_bits_stay_inside_0_and_1(monkeypatch):
    """In float32 a number of 24 bits and a half is rounded up to the next."""
    extremes = tf.constant([[0], [0xFFFFFFFF]], tf.uint32)
    monkeypatch.setattr(seeds, "_bits", lambda keys, count: tf.broadcast_to(extremes, [2, count]))
    monkeypatch.setattr(seeds, "_uniform", seeds._uniform.__wrapped__)  # not kept
    keys = seeds.per_example(0, tf.range(2))
    low, high = seeds.uniform(keys, [3]).numpy()[:, 0]
    assert 0 < low < high < 1
    assert np.isfinite(seeds.normal(keys, [3])).all()
    assert seeds.integers(keys, [3], 10).numpy()[:, 0].tolist() == [0, 9]
