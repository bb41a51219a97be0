"""FAB: its projection against a solver, and distances that are known in closed form."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls
from tfrobust.attacks.gradient.fab import projection
from tfrobust.errors import InputError

WEIGHTS = np.array([3.0, -4.0], "float32").reshape(1, 2, 1)
NORMS = pytest.mark.parametrize("norm", [balls.L2, balls.Linf, balls.L1])


def by_sorting(norm, x, normal, amount):
    """One example of the projection, in float64, along the sorted lengths at which a value meets the box."""
    toward, weight, amount = normal * np.sign(amount), np.abs(normal), abs(amount)
    room = np.where(toward > 0, 1 - x, x)
    if norm is balls.L1:
        moved = np.zeros_like(room)
        for place in sorted(np.ndindex(room.shape), key=lambda place: -weight[place]):
            if weight[place] > 0:
                moved[place] = min(room[place], amount / weight[place])
            amount -= weight[place] * moved[place]
        return np.sign(toward) * moved
    pace = weight if norm is balls.L2 else np.sign(weight)
    kinks = np.sort(np.divide(room, pace, out=np.zeros_like(room), where=pace > 0), axis=None)

    def gain(length):
        return np.sum(weight * np.minimum(length * pace, room))

    gains = [0.0, *map(gain, kinks)]
    after = np.searchsorted(gains, amount)
    if after == len(gains):
        length = kinks[-1]
    else:
        low, high = [0.0, *kinks][after - 1], kinks[after - 1]
        length = low + (high - low) * (amount - gains[after - 1]) / (gains[after] - gains[after - 1])
    return np.sign(toward) * np.minimum(length * pace, room)


@NORMS
def test_projection_equals_the_one_by_sorting(norm):
    random = np.random.default_rng(0)
    x, normal = random.uniform(size=(200, 3, 5, 2)), random.normal(size=(200, 3, 5, 2)) ** 3
    normal[random.uniform(size=normal.shape) < 0.2] = 0.0
    x[random.uniform(size=x.shape) < 0.2] = 0.0  # at the edge of the box
    amount = random.normal(size=200) * np.abs(normal).sum(axis=(1, 2, 3)) * 0.4
    arrays = [array.astype("float32") for array in (x, normal, amount)]
    found = projection(norm, *map(tf.constant, arrays)).numpy()
    expected = [by_sorting(norm, *[array[row].astype("float64") for array in arrays]) for row in range(200)]
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert (arrays[0] + found >= -1e-6).all() and (arrays[0] + found <= 1 + 1e-6).all()
    reached = (normal * found).sum(axis=(1, 2, 3))
    assert 20 < (np.abs(reached - amount) > 1e-4 * np.abs(amount)).sum() < 180  # boxes that are too small, and others


@NORMS
def test_a_hyperplane_out_of_reach_gives_the_corner_and_a_zero_normal_nothing(norm):
    x, normal = tf.constant([[[[0.2], [0.7]]]] * 2), tf.constant([[[[1.0], [-2.0]]], [[[0.0], [0.0]]]])
    found = projection(norm, x, normal, tf.constant([50.0, 50.0]))
    np.testing.assert_allclose(tf.reshape(found, [2, 2]), [[0.8, -0.7], [0.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize("x_distance, bias", [(0.3, 0.1), (0.1, 0.1), (0.02, 0.02 / 0.32)])
def test_a_step_is_biased_toward_the_clean_image_by_a_tenth_at_most(x_distance, bias):
    """Equations 9 and 10 where the box is far: from 0.3 and `x_distance` away, each goes 1.05 times to the boundary."""
    unit = np.array([0.6, 0.8]).reshape(1, 1, 2, 1)
    aside = np.array([-0.8, 0.6]).reshape(1, 1, 2, 1)  # so that x is not on the line from the clean image
    clean, x = 0.5 - 0.3 * unit, 0.5 - x_distance * unit + 0.1 * aside
    value = tf.constant([-5.0 * x_distance], tf.float32)  # of 5 <unit, u> at x; it is zero on the boundary
    arrays = [tf.constant(part, tf.float32) for part in (clean, x)]
    found = attacks.FAB(balls.L2)._step(*arrays, value, tf.constant(5.0 * unit, tf.float32))
    expected = (1 - bias) * (x + 1.05 * x_distance * unit) + bias * (clean + 1.05 * 0.3 * unit)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@NORMS
@pytest.mark.parametrize("targets", [None, 1])
def test_on_a_linear_model_it_finds_the_distance(norm, targets):
    images = tf.constant([[[[0.9], [0.3]]], [[[0.5], [0.3]]]])  # f = 1.5 and 0.3
    logits_fn = classifiers.two_class_linear(WEIGHTS)
    found = attacks.FAB(norm, steps=30, targets=targets)(logits_fn, images, tf.constant([0, 0]), seed=0)
    dual = {balls.L2: 5.0, balls.Linf: 7.0, balls.L1: 4.0}[norm]
    np.testing.assert_allclose(norm.size(found - images), [1.5 / dual, 0.3 / dual], rtol=1e-3)
    np.testing.assert_array_equal(tf.argmax(logits_fn(found), axis=1), [1, 1])


@NORMS
def test_on_a_linear_model_in_the_box_it_finds_the_projection(norm):
    """The first value has no room, so that the second one goes all the way; in l1 that is the shortest in any case."""
    images, logits_fn = tf.constant([[[[0.01], [0.3]]]]), classifiers.two_class_linear(WEIGHTS, bias=2.0)
    found = attacks.FAB(norm, steps=30)(logits_fn, images, tf.constant([0]), seed=0) - images
    first = 0.0 if norm is balls.L1 else 0.01
    np.testing.assert_allclose(tf.reshape(found, [-1]), [-first, (2.03 - 1.2 - 3 * first) / 4], atol=1e-3)


def test_targets_are_the_likeliest_wrong_classes_in_their_order():
    """The second logit's boundary is 0.4 away, the third's, of a lower logit, 0.1 only."""

    def logits_fn(images):
        flat = tf.reshape(images, [-1, 2])
        return tf.stack([0.0 * flat[:, 0], flat[:, 0] - 0.9, 6.0 * (flat[:, 1] - 0.6)], axis=1)

    images = tf.fill([1, 1, 2, 1], 0.5)

    def size(targets):
        return float(
            balls.L2.size(attacks.FAB(balls.L2, steps=20, targets=targets)(logits_fn, images, [0], seed=0) - images)[0]
        )

    np.testing.assert_allclose([size(1), size(2), size(9), size(None)], [0.4, 0.1, 0.1, 0.1], rtol=1e-3)


@NORMS
def test_a_radius_ends_the_work_on_what_is_inside_and_refuses_what_is_not(norm):
    network, images = classifiers.smooth_network(), classifiers.random_images(20)
    labels, rows = np.argmax(network(images), axis=1), []

    def logits_fn(x):
        rows.append(len(x))
        return network(x)

    free = norm.size(
        attacks.FAB(norm, steps=15, targets=3)(network, tf.constant(images), labels, seed=0) - images
    ).numpy()
    radius = float(np.median(free))
    bounded = attacks.FAB(norm(radius), steps=15, targets=3)(logits_fn, tf.constant(images), labels, seed=0)
    sizes = norm.size(bounded - images).numpy()
    found = np.argmax(network(bounded), axis=1) != labels
    np.testing.assert_array_equal(sizes > 1e-9, found)
    assert (sizes <= radius).all() and abs(found.sum() - 10) <= 1
    assert rows[0] == 20 and rows[-1] < 20
    unbroken = np.broadcast_to(~found[:, None, None, None], images.shape)
    np.testing.assert_array_equal(bounded.numpy()[unbroken], images[unbroken])


def test_more_restarts_are_no_worse():
    """In a rough landscape, the first run stops at a boundary that is not the nearest."""
    matrix = np.random.default_rng(3).normal(size=(12, 4)).astype("float32")

    def logits_fn(images):
        return tf.add(tf.sin(8.0 * tf.reshape(images, [-1, 12]) @ matrix), [2.5, 1.0, 1.0, 1.0])

    images = tf.constant(classifiers.random_images(30, (2, 2, 3)))
    images = tf.boolean_mask(images, tf.argmax(logits_fn(images), axis=1) == 0)
    labels = tf.zeros([len(images)], tf.int32)

    def sizes(restarts):
        found = attacks.FAB(balls.Linf, steps=10, restarts=restarts)(logits_fn, images, labels, seed=0)
        return np.where(tf.argmax(logits_fn(found), axis=1) > 0, balls.Linf.size(found - images), np.inf)

    once, often = sizes(1), sizes(5)
    assert (often <= once * (1 + 1e-3)).all() and (often < 0.99 * once).sum() >= 2


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@NORMS
def test_an_exact_tie_is_left(norm, offset):
    """Both logits are equal at the clean images, of which the label is the first."""

    def tied(images):
        score = tf.reduce_sum(images * np.array([3.0, -3.0], "float32").reshape(1, 2, 1), axis=[1, 2, 3])
        return tf.stack([score, tf.zeros_like(score)], axis=1) + offset

    images = np.stack([np.full([1, 2, 1], value, "float32") for value in (0.5, 0.2)])
    adversarial = attacks.FAB(norm, steps=10)(tied, images, [0, 0], seed=0)
    np.testing.assert_array_equal(tf.argmax(tied(adversarial), axis=1), [1, 1])
    assert (norm.size(adversarial - images) < 1e-3).numpy().all()


def test_a_flat_model_is_left_alone():
    def constant(images):
        return tf.zeros([tf.shape(images)[0], 2]) + [1.0, 0.0] + 0.0 * tf.reduce_sum(images)

    images = tf.fill([2, 1, 2, 1], 0.5)
    np.testing.assert_array_equal(attacks.FAB(steps=3)(constant, images, tf.constant([0, 0]), seed=0), images)


@pytest.mark.parametrize(
    "arguments",
    [{"within": balls.L0}, {"within": balls.L0(1)}, {"within": 0.1}, {"steps": 0}, {"targets": 0}, {"restarts": 0}],
)
def test_senseless_settings_are_refused(arguments):
    with pytest.raises(InputError, match=f"fab: {next(iter(arguments))} must be"):
        attacks.FAB(**arguments)
