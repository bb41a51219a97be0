"""Sparse-RS: what it changes, its schedules, and how it fares beside the one-pixel attack."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers, shared
from tfrobust import attacks, balls, seeds
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.score import sparse_rs
from tfrobust.errors import InputError

SHAPE = (8, 9, 3)
CLEAN = classifiers.random_images(20, SHAPE, low=0.2, high=0.8)


def problem(pixels=None):
    """Of a model that is not asked."""
    keys = seeds.per_example(0, tf.range(20))
    return Problem(lambda images: images[:, 0, 0], CLEAN, np.zeros(20, "int32"), keys=keys, pixels=pixels)


def changed(images):
    return (np.asarray(images) != CLEAN).any(axis=-1)


@pytest.mark.parametrize("query, moved", [(0, 6), (30, 3), (400, 1)])
def test_a_change_moves_a_share_of_the_pixels_to_corners_of_the_color_cube(query, moved):
    search = sparse_rs._Pixels(attacks.SparseRS(balls.L0(20), queries=10_000, share=0.3), SHAPE)
    here = problem()
    x, places = search.start(here, here.keys)
    assert (changed(x).sum(axis=(1, 2)) == 20).all() and set(np.unique(x.numpy()[changed(x)])) == {0.0, 1.0}
    after, others = search.change(here, x, places, tf.constant(query), seeds.fold_in(here.keys, 7))
    assert (changed(after).sum(axis=(1, 2)) == 20).all() and set(np.unique(after.numpy()[changed(after)])) == {0.0, 1.0}
    left, taken = changed(x) & ~changed(after), changed(after) & ~changed(x)
    assert (left.sum(axis=(1, 2)) == moved).all() and (taken.sum(axis=(1, 2)) == moved).all()
    kept = changed(x) & changed(after)
    np.testing.assert_array_equal(x.numpy()[kept], after.numpy()[kept])
    for row in range(20):
        assert set(others.numpy()[row]) == set(np.flatnonzero(changed(after)[row]))
    assert len({left[row].tobytes() for row in range(20)}) > 10  # each example has its own


def test_a_single_pixel_gets_another_color_than_the_clean_one():
    search = sparse_rs._Pixels(attacks.SparseRS(balls.L0(1)), SHAPE)
    here = problem().replace(images=tf.round(CLEAN))
    x, _ = search.start(here, here.keys)
    np.testing.assert_array_equal(balls.L0.size(x - here.images), [1] * 20)


def test_only_free_pixels_change():
    free = np.zeros([1, *SHAPE[:2], 1], bool)
    free[0, 2:5, 3:8] = True
    search = sparse_rs._Pixels(attacks.SparseRS(balls.L0(6)), SHAPE)
    here = problem(tf.constant(free))
    x, places = search.start(here, here.keys)
    for count in range(5):
        x, places = search.change(here, x, places, tf.constant(1 + count), seeds.fold_in(here.keys, count))
        assert not (changed(x) & ~free[0, :, :, 0]).any() and (changed(x).sum(axis=(1, 2)) == 6).all()


@pytest.mark.parametrize("pixels, side", [(4, 2), (15, 3), (1000, 8)])
def test_a_patch_is_a_square_within_the_ball_that_moves_or_gets_a_square_of_one_color(pixels, side):
    attack = attacks.SparseRS(balls.L0(pixels), shape="patch", queries=1000)
    search, here = sparse_rs._Patch(attack, SHAPE), problem()
    x, (patch, corner) = search.start(here, here.keys)
    assert patch.shape == [20, side, side, 3] and set(np.unique(patch)) <= {0.0, 1.0}
    assert (changed(x).sum(axis=(1, 2)) == side**2).all() and (side**2 <= pixels or pixels > 64)
    for row in range(20):
        top, left = corner.numpy()[row]
        np.testing.assert_array_equal(x.numpy()[row, top : top + side, left : left + side], patch[row])
    _, (same, moved) = search.change(here, x, (patch, corner), tf.constant(4), here.keys)
    np.testing.assert_array_equal(same, patch)
    assert side == 8 or (moved.numpy() != corner.numpy()).any()
    assert (moved.numpy() >= 0).all() and (moved.numpy() + side <= SHAPE[:2]).all()
    _, (other, stays) = search.change(here, x, (patch, corner), tf.constant(5), here.keys)
    np.testing.assert_array_equal(stays, corner)
    assert ((other.numpy() != patch.numpy()).any(axis=(1, 2, 3))).mean() > 0.5


def test_at_the_end_a_change_turns_over_a_single_value_of_a_patch():
    search = sparse_rs._Patch(attacks.SparseRS(balls.L0(9), shape="patch", queries=1000), SHAPE)
    here = problem()
    x, found = search.start(here, here.keys)
    assert search.single_values_from < 1000
    _, (patch, _) = search.change(here, x, found, tf.constant(999), here.keys)
    assert ((patch.numpy() != found[0].numpy()).sum(axis=(1, 2, 3)) == 1).all()


@shared.needs_golden
def test_it_breaks_more_digits_than_differential_evolution_with_as_many_queries():
    golden, network = shared.golden("deepfool_lenet_mnist"), shared.reference_lenet()
    images, labels = golden["images"][:60], golden["labels"][:60]

    def broken(attack):
        adversarial = tf.function(attack, autograph=False)(network, images, labels, seed=0).numpy()
        assert (attack.ball.size(adversarial - images) <= attack.ball.radius).numpy().all()
        return (network(adversarial).numpy().argmax(axis=1) != labels).sum()

    evolved = broken(attacks.OnePixel(balls.L0(10), population=40, steps=9, abort_early=False))
    assert broken(attacks.SparseRS(balls.L0(10), queries=400)) > evolved


@pytest.mark.parametrize("arguments", [{"queries": 0}, {"share": 0.0}, {"shape": "ring"}, {"ball": balls.L2(1.0)}])
def test_senseless_settings_are_refused(arguments):
    with pytest.raises(InputError, match=f"sparse_rs: {next(iter(arguments))} must be"):
        attacks.SparseRS(**{"ball": balls.L0(3), **arguments})
