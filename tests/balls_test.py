"""Norm balls against closed forms."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import balls, seeds
from tfrobust.errors import InputError

THREE_FOUR = tf.constant([[[[3.0], [-4.0]]], [[[0.0], [0.0]]]])  # two examples of 1x2x1: (3, -4) and (0, 0)
ALL = [balls.Linf(0.5), balls.L2(0.5), balls.L1(0.5), balls.L0(2)]


def flat(tensor):
    return tf.reshape(tensor, [tensor.shape[0], -1]).numpy()


@pytest.mark.parametrize(
    "norm, sizes", [(balls.Linf, [4, 0]), (balls.L2, [5, 0]), (balls.L1, [7, 0]), (balls.L0, [2, 0])]
)
def test_size_of_three_four(norm, sizes):
    np.testing.assert_allclose(norm.size(THREE_FOUR), sizes, atol=1e-9)


@pytest.mark.parametrize(
    "norm, steepest, dual",
    [
        (balls.Linf, [1, -1], 7),
        (balls.L2, [0.6, -0.8], 5),
        (balls.L1, [0, -1], 4),
    ],
)
def test_steepest_direction_reaches_the_dual_norm(norm, steepest, dual):
    direction = norm.steepest(THREE_FOUR)
    np.testing.assert_allclose(flat(direction)[0], steepest, rtol=1e-6)
    np.testing.assert_allclose(norm.dual(THREE_FOUR)[0], dual)
    np.testing.assert_allclose(tf.reduce_sum(direction * THREE_FOUR, [1, 2, 3])[0], dual, rtol=1e-6)


@pytest.mark.parametrize("norm", [balls.Linf, balls.L2])
def test_no_gradient_gives_no_direction_and_no_nan(norm):
    np.testing.assert_array_equal(flat(norm.steepest(THREE_FOUR))[1], [0, 0])


@pytest.mark.parametrize(
    "ball, projected",
    [
        (balls.Linf(1.0), [1, -1]),
        (balls.L2(1.0), [0.6, -0.8]),
        (balls.L1(1.0), [0, -1]),
        (balls.L1(3.0), [1, -2]),
        (balls.L0(1), [0, -4]),
        (balls.L2(10.0), [3, -4]),
    ],
)
def test_projection_of_three_four(ball, projected):
    np.testing.assert_allclose(flat(ball.project(THREE_FOUR))[0], projected, atol=1e-6)


@pytest.mark.parametrize("ball", ALL, ids=str)
def test_projection_is_inside_idempotent_and_leaves_what_is_inside(ball):
    delta = tf.random.stateless_normal([20, 4, 3, 2], [1, 2])
    inside = ball.project(delta)
    assert np.all(ball.size(inside) <= ball.radius * (1 + 1e-6))
    np.testing.assert_allclose(ball.project(inside), inside, atol=1e-6)
    small = ball.project(delta) * 0.5
    np.testing.assert_allclose(ball.project(small), small, atol=1e-6)


@pytest.mark.parametrize("ball", ALL, ids=str)
def test_each_example_may_have_a_radius_of_its_own(ball):
    delta = tf.random.stateless_normal([3, 4, 3, 2], [1, 2])
    radii = [ball.radius, 0.0, 1.0]
    found = type(ball).nearest(delta, tf.constant(radii, tf.float32))
    for row, radius in enumerate(radii):
        np.testing.assert_allclose(found[row], type(ball)(radius).project(delta[row : row + 1])[0], atol=1e-6)


@pytest.mark.parametrize("ball", ALL[1:3], ids=str)
def test_projection_is_the_nearest_point(ball):
    """No random point of the ball is nearer than the projection."""
    delta = tf.random.stateless_normal([1, 2, 2, 1], [3, 4])
    distance = np.linalg.norm(flat(delta - ball.project(delta)))
    others = ball.sample(seeds.per_example(0, tf.range(2000)), [2, 2, 1])
    assert np.all(np.linalg.norm(flat(delta - others), axis=1) >= distance - 1e-6)


def test_the_magnitude_down_to_which_parts_are_needed():
    magnitudes, parts = tf.constant([[0.1, 0.4, 0.3, 0.3]] * 4), tf.constant([[5.0, 2.0, 1.0, 1.0]] * 4)
    found = balls.least_needed(magnitudes, parts, tf.constant([2.0, 2.5, 5.0, 20.0]))
    np.testing.assert_array_equal(found, np.float32([0.4, 0.3, 0.1, 0.0]))

    values = np.abs(tf.random.stateless_normal([9, 5, 4, 3], [1, 2]))
    counts = np.arange(1, 60, 7)
    ordered = np.sort(values.reshape(9, -1), axis=1)
    found = balls.least_needed(tf.constant(values), 1.0, tf.constant(counts, tf.float32))
    np.testing.assert_array_equal(found, ordered[np.arange(9), 60 - counts])


@pytest.mark.parametrize("scale, radius", [(1.0, 8.0), (0.05, 0.7), (3.0, 0.1), (1e-4, 5.0), (1.0, 0.0)])
def test_in_l1_the_nearest_image_is_nearest_in_ball_and_box_together(scale, radius):
    """Against the threshold by bisection, in float64, for each image alone."""
    random = np.random.default_rng(0)
    clean = np.where(
        random.random([20, 6, 5, 2]) < 0.5, random.random([20, 6, 5, 2]).round(), random.random([20, 6, 5, 2])
    )
    clean = clean.astype("float32")
    x = (clean + scale * random.normal(size=clean.shape)).astype("float32")
    found = balls.L1.nearest_image(tf.constant(x), tf.constant(clean), radius).numpy()
    assert found.min() >= 0 and found.max() <= 1
    for row in range(20):
        delta = (x[row] - clean[row]).astype("float64")
        room = np.where(delta > 0, 1 - clean[row], clean[row])
        threshold = 0.0
        if np.clip(np.abs(delta), 0, room).sum() > radius:
            low, threshold = 0.0, np.abs(delta).max()
            for _ in range(60):
                middle = (low + threshold) / 2
                inside = np.clip(np.abs(delta) - middle, 0, room).sum() <= radius
                low, threshold = (low, middle) if inside else (middle, threshold)
        expected = clean[row] + np.sign(delta) * np.clip(np.abs(delta) - threshold, 0, room)
        np.testing.assert_allclose(found[row], expected, atol=2e-6)


@pytest.mark.parametrize("ball", ALL, ids=str)
def test_samples_are_inside_and_fill_the_ball(ball):
    """All are inside; with n = 2 values, the share within half the radius is 1/4 for every norm."""
    samples = ball.sample(seeds.per_example(5, tf.range(4000)), [2, 1, 1])
    assert np.all(ball.size(samples) <= ball.radius * (1 + 1e-6))
    if not isinstance(ball, balls.L0):
        share = np.mean(ball.size(samples) <= ball.radius / 2)
        assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)  # four standard deviations
        assert np.all(np.abs(np.mean(flat(samples), axis=0)) < 4 * 0.3 / np.sqrt(4000))


def test_l2_size_of_nothing_has_a_derivative():
    delta = tf.zeros([1, 2, 1, 1])
    with tf.GradientTape() as tape:
        tape.watch(delta)
        size = balls.L2.size(delta)
    np.testing.assert_array_equal(tape.gradient(size, delta), delta)


def test_the_same_example_gets_the_same_sample_in_any_batch():
    keys = seeds.per_example(9, tf.constant([7, 3, 5]))
    alone = balls.L2(1.0).sample(seeds.per_example(9, tf.constant([3])), [4, 4, 1])
    np.testing.assert_array_equal(balls.L2(1.0).sample(keys, [4, 4, 1])[1], alone[0])


@pytest.mark.parametrize("radius", [-0.1, float("nan"), float("inf"), "8/255", None])
def test_a_radius_that_is_none_is_refused(radius):
    with pytest.raises(InputError, match="radius"):
        balls.Linf(radius)


@pytest.mark.parametrize("ball", [balls.Linf(0.3), balls.L2(0.3), balls.L1(0.3), balls.L0(2)], ids=str)
def test_samples_of_some_free_values_fill_the_ball_of_these(ball):
    """As the samples of an image that has no other values: the sizes have the same mean and deviation."""
    free = np.array([[[True], [False]], [[False], [True]], [[True], [False]]])
    keys = seeds.per_example(5, tf.range(4000))
    samples = ball.sample(keys, [3, 2, 1], tf.constant(free)).numpy()
    assert (samples[:, ~free] == 0).all() and (ball.size(samples) <= ball.radius * (1 + 1e-6)).numpy().all()
    sizes, expected = ball.size(samples).numpy(), ball.size(ball.sample(keys, [3, 1, 1])).numpy()
    bound = 4 * np.sqrt(2) * expected.std() / np.sqrt(4000) + 1e-6
    assert abs(sizes.mean() - expected.mean()) < bound and abs(sizes.std() - expected.std()) < bound
