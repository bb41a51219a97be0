"""Where decision-based attacks start: the first candidate that is a success, then bisection."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls, seeds
from tfrobust.attacks.decision import starts
from tfrobust.attacks.fields import Array
from tfrobust.attacks.problem import Problem
from tfrobust.errors import InputError

SHAPE = (2, 3, 1)
GRAY = np.full([3, *SHAPE], 0.5, "float32")
ZEROS = tf.zeros([3], tf.int32)
KEYS = seeds.per_example(0, tf.range(3))
KINDS = pytest.mark.parametrize("kind", [attacks.Boundary, attacks.HopSkipJump])


def bright(images):
    """Label 1 for a mean above 0.6."""
    return tf.cast(tf.reduce_mean(images, axis=[1, 2, 3]) > 0.6, tf.int32)


def plain(value):
    return np.full(SHAPE, value, "float32")


@KINDS
def test_starts_are_none_an_array_or_a_file(kind, tmp_path):
    path = str(tmp_path / "starts.npy")
    np.save(path, GRAY.astype("float64"))
    assert kind().starts is None
    assert kind(starts=GRAY) == kind(starts=GRAY.copy())
    for given in (GRAY, path):
        np.testing.assert_array_equal(kind(starts=given).starts.values, GRAY)


@KINDS
@pytest.mark.parametrize(
    "given",
    [GRAY[0], (GRAY * 255).astype("uint8"), GRAY + 1.0, GRAY - 1.0, np.full_like(GRAY, np.nan), "nowhere.npy"],
    ids=["one image", "uint8", "above 1", "below 0", "nan", "no file"],
)
def test_other_starts_are_refused(kind, given):
    with pytest.raises(InputError, match=r"starts must be float images|nowhere.npy is not a readable"):
        kind(starts=given)


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "starts.npy"
    path.write_text("not an array")
    with pytest.raises(InputError, match=r"not a readable \.npy file"):
        attacks.Boundary(starts=str(path))


def test_each_example_starts_from_the_first_candidate_that_is_a_success_as_near_as_one_halving_allows():
    """Candidate 1 is the first for all; from 0.1, half of the way to it is not bright."""
    images = np.stack([plain(0.5), plain(0.1), plain(0.55)])
    given = Array(np.stack([plain(value) for value in (0.2, 0.9, 0.8)]))
    rows, found = starts.begin(Problem(bright, images, ZEROS), KEYS, given=given, halvings=1)
    np.testing.assert_array_equal(rows, [0, 1, 2])
    np.testing.assert_allclose(found, np.stack([plain(0.7), plain(0.9), plain(0.725)]), rtol=1e-6)


def test_draws_until_it_has_a_start_and_then_no_more():
    asked = []

    def above_the_mean(images):
        asked.append(len(images))
        return tf.cast(tf.reduce_mean(images, axis=[1, 2, 3]) > 0.55, tf.int32)

    rows, found = starts.begin(Problem(above_the_mean, GRAY, ZEROS), KEYS, tries=100, halvings=0)
    np.testing.assert_array_equal(rows, [0, 1, 2])
    total = 0
    for row, start in enumerate(found):
        drawn = [seeds.uniform(seeds.fold_in(KEYS[row : row + 1], attempt), SHAPE)[0] for attempt in range(100)]
        first = next(attempt for attempt, image in enumerate(drawn) if tf.reduce_mean(image) > 0.55)
        np.testing.assert_array_equal(start, drawn[first])
        total += first + 1
    assert sum(asked) == total and asked == sorted(asked, reverse=True)


def test_examples_without_a_start_are_left_out():
    """White is of class 1, which examples 0 and 1 have already."""
    given = Array(np.ones([1, *SHAPE], "float32"))
    rows, found = starts.begin(Problem(bright, GRAY, [1, 1, 0]), KEYS, given=given)
    np.testing.assert_array_equal(rows, [2])
    assert found.shape == [1, *SHAPE]


def by_brightness(images):
    """Three classes of gray images: below 0.34, around 0.5, above 0.66. Noise is in none of them, but in class 3."""
    mean, spread = tf.reduce_mean(images, axis=[1, 2, 3]), tf.math.reduce_std(images, axis=[1, 2, 3])
    level = tf.cast(mean > 0.34, tf.int32) + tf.cast(mean > 0.66, tf.int32)
    return tf.where(spread > 0.02, 3, level)


def test_what_has_no_start_begins_at_the_nearest_image_of_the_batch_that_has_a_wanted_answer():
    """Toward class 1: 0.1 from 0.45, 0.9 from 0.6, which is misclassified; toward class 0, whose only one is 0.1."""
    images = np.stack([plain(value) for value in (0.1, 0.9, 0.45, 0.6)])
    attack = attacks.Boundary(steps=1, tries=3, targeted=True)
    problem = Problem(by_brightness, images, [0, 2, 1, 0], [1, 1, 0, 2], keys=seeds.per_example(0, tf.range(4)))
    opened = problem.opened()
    rows, found = starts.begin(opened, opened.keys, tries=3, halvings=0)
    np.testing.assert_array_equal(rows, [0, 1, 2, 3])
    np.testing.assert_array_equal(found, images[[2, 3, 0, 1]])
    one = opened.at([1])  # still of the whole batch
    np.testing.assert_array_equal(starts.begin(one, one.keys, tries=3, halvings=0)[1], images[[3]])
    adversarial = tf.function(lambda: attack.solve(problem), autograph=False)()
    np.testing.assert_array_equal(by_brightness(adversarial), [1, 1, 0, 2])


@KINDS
def test_what_has_no_start_even_in_its_batch_comes_back_to_the_bit(kind):
    images = np.stack([plain(value) for value in (0.1234567, 0.15, 0.9)])
    adversarial = kind(steps=1, tries=3, targeted=True)(by_brightness, images, [1, 1, 0], seed=0).numpy()
    np.testing.assert_array_equal(adversarial[:2], images[:2])
    assert (adversarial[2] != images[2]).any()


def test_given_starts_and_random_ones_come_before_those_of_the_batch():
    images = np.stack([plain(value) for value in (0.1, 0.9)])
    opened = Problem(by_brightness, images, [0, 2], keys=KEYS[:2]).opened()
    given = Array(np.stack([plain(0.5)]))
    np.testing.assert_array_equal(starts.begin(opened, KEYS[:2], given=given, halvings=0)[1], [plain(0.5), plain(0.5)])
    drawn = starts.begin(opened, KEYS[:2], tries=3, halvings=0)[1]
    np.testing.assert_array_equal(by_brightness(drawn), [3, 3])


def test_starts_of_another_shape_are_refused():
    problem = Problem(bright, GRAY, ZEROS)
    with pytest.raises(InputError, match="starts must be images of shape"):
        starts.begin(problem, KEYS, given=Array(np.zeros([1, 3, 2, 1], "float32")))


@pytest.mark.parametrize("norm", [balls.L2, balls.Linf])
def test_bisection_ends_at_the_boundary_on_the_attackers_side(norm):
    """f = <w, x> + b. On the straight line it is linear; in the ball of radius r it is f(x) + <w, clip(delta, -r, r)>."""
    weights = np.arange(1.0, 7.0, dtype="float32").reshape(SHAPE) / 10
    images = classifiers.random_images(4, SHAPE, low=0.1, high=0.3)
    adversarial = classifiers.random_images(4, SHAPE, seed=1, low=0.7, high=0.9)

    def score(x):
        return tf.reduce_sum(x * weights, axis=[1, 2, 3]) - 1.05

    problem = Problem(lambda x: tf.cast(score(x) > 0, tf.int32), images, tf.zeros([4], tf.int32))
    near = starts.toward_boundary(norm, problem, adversarial, 20)
    delta = adversarial - images
    assert (score(near) > 0).numpy().all()
    if norm is balls.L2:
        share = -score(images) / (score(adversarial) - score(images))
        expected = images + balls.per_example(share, delta) * delta
    else:
        assert (delta > 0).all()
        expected = images + np.stack([_clipped_to(-score(images)[i], delta[i], weights) for i in range(4)])
    np.testing.assert_allclose(near, expected, atol=1e-5)


def _clipped_to(rise, delta, weights):
    """The min(delta, r) with <weights, min(delta, r)> = rise, for positive delta: piecewise linear in r."""
    knots = np.concatenate([[0.0], np.sort(delta, axis=None)])
    heights = [(weights * np.minimum(delta, knot)).sum() for knot in knots]
    return np.minimum(delta, np.interp(rise, heights, knots))


def test_each_halving_is_one_query_and_none_leaves_the_start():
    asked = []

    def recorded(images):
        asked.append(len(images))
        return bright(images)

    adversarial = np.ones([2, *SHAPE], "float32")
    problem = Problem(recorded, np.zeros_like(adversarial), [0, 0])
    np.testing.assert_array_equal(starts.toward_boundary(balls.L2, problem, adversarial, 0), adversarial)
    near = starts.toward_boundary(balls.L2, problem, adversarial, 3)
    assert asked == [2, 2, 2]  # at 0.5, 0.75 and 0.625
    np.testing.assert_allclose(near, np.full_like(adversarial, 0.625))
