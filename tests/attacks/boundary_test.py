"""The two attacks from labels alone: closed forms, Python functions, and examples without a start."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls, gradients
from tfrobust.attacks import boundary, queries
from tfrobust.errors import InputError

WEIGHTS = np.random.default_rng(1).normal(size=(3, 4, 1)).astype("float32")
IMAGES = classifiers.random_images(5, (3, 4, 1), low=0.4, high=0.6)
SCORES = (IMAGES * WEIGHTS).sum(axis=(1, 2, 3))
BIAS = float(-SCORES.min() + 0.3)
LABELS = tf.zeros([5], tf.int32)
LOGITS = classifiers.two_class_linear(WEIGHTS, BIAS)


def python_labels(images):
    """A classifier outside TensorFlow that gives labels only."""
    assert len(images) > 0
    return ((np.asarray(images) * WEIGHTS).sum(axis=(1, 2, 3)) + BIAS <= 0).astype(np.int64)


FAR_SIDE = np.clip(0.5 - 2.0 * WEIGHTS[None], 0, 1).astype("float32")  # an image of the other class

BOTH = pytest.mark.parametrize(
    "attack, norm",
    [
        (attacks.Boundary(steps=1500, starts=FAR_SIDE), balls.L2),
        (attacks.HopSkipJump(balls.L2, steps=20, starts=FAR_SIDE), balls.L2),
        (attacks.HopSkipJump(balls.Linf, steps=30, starts=FAR_SIDE), balls.Linf),
    ],
)


@BOTH
def test_reaches_the_linear_boundary(attack, norm):
    adversarial = tf.function(attack)(LOGITS, IMAGES, LABELS, seed=0).numpy()
    np.testing.assert_array_equal(python_labels(adversarial), 1)
    distance = (SCORES + BIAS) / norm.dual(WEIGHTS[None]).numpy()
    reached = norm.size(adversarial - IMAGES).numpy()
    interior = np.abs(adversarial - 0.5).max(axis=(1, 2, 3)) < 0.499  # the closed form knows no limits of [0, 1]
    assert interior.sum() >= 2
    np.testing.assert_allclose(reached[interior], distance[interior], rtol=0.03)


@BOTH
def test_a_python_function_is_attacked_as_well(attack, norm):
    few = type(attack)(norm=norm, steps=3, starts=FAR_SIDE)
    from_labels = few(python_labels, IMAGES, LABELS, seed=3)
    np.testing.assert_allclose(from_labels, few(LOGITS, IMAGES, LABELS, seed=3), atol=1e-5)


@pytest.mark.parametrize("attack", [attacks.Boundary(steps=20), attacks.HopSkipJump(steps=2)])
def test_goes_on_without_the_examples_that_have_no_start(attack):
    """Example 0 is right whatever its image; it comes back, the others are attacked as if it were not there."""

    class FirstHolds(gradients.LogitsFn):
        def __init__(self, rows):
            self.rows = rows

        def __call__(self, images):
            uniform = tf.reduce_mean(images, axis=[1, 2, 3]) - 0.5
            score = tf.where(self.rows == 0, 1.0, tf.where(tf.abs(uniform) < 0.01, 1.0, -1.0))
            return tf.stack([score, -score], axis=1)

        def for_rows(self, rows):
            return FirstHolds(tf.gather(self.rows, rows))

        def one_draw(self):
            return self

    images = np.full([3, 6, 5, 3], 0.5, "float32")
    keys = tf.constant([[0, 0], [0, 1], [0, 2]])
    labels = tf.zeros([3], tf.int32)
    adversarial = attack(FirstHolds(tf.range(3)), images, labels, seed=keys).numpy()
    np.testing.assert_array_equal(adversarial[0], images[0])
    assert (np.abs(adversarial[1:] - images[1:]).max(axis=(1, 2, 3)) > 0).all()
    alone = attack(FirstHolds(tf.constant([1, 2])), images[1:], labels[1:], seed=keys[1:])
    np.testing.assert_allclose(alone, adversarial[1:], atol=1e-6)


def test_targeted_from_a_given_start():
    attack = attacks.Boundary(steps=40, starts=FAR_SIDE, targeted=True)
    adversarial = attack(python_labels, IMAGES, tf.ones([5], tf.int32), seed=0).numpy()
    np.testing.assert_array_equal(python_labels(adversarial), 1)


def test_candidates_are_on_the_sphere_and_then_nearer():
    """Distance 0.5; a spherical step keeps it, a source step of 0.1 leaves 0.45."""
    clean = tf.fill([1, 2, 2, 1], 0.5)
    x = tf.constant([[0.8, 0.9], [0.5, 0.5]])[None, ..., None]
    noise = tf.constant([[0.1, -0.2], [0.7, 0.1]])[None, ..., None]
    sphere, candidate = boundary._propose(clean, x, noise, tf.constant([0.2]), tf.constant([0.1]))
    np.testing.assert_allclose(balls.L2.size(sphere - clean), [0.5], rtol=1e-5)
    np.testing.assert_allclose(balls.L2.size(candidate - clean), [0.45], rtol=1e-5)
    cosine = tf.reduce_sum((sphere - clean) * (x - clean)) / 0.25
    np.testing.assert_allclose(cosine, 1 / np.sqrt(1 + 0.2**2), rtol=1e-5)


def test_queries_are_eleven_for_ten_steps():
    asked = []

    def logits_fn(images):
        asked.append(len(images))
        return LOGITS(images)

    attacks.Boundary(steps=100, starts=FAR_SIDE)(logits_fn, IMAGES[:1], LABELS[:1], seed=0)
    assert sum(asked) <= 110 + 1 + 1 + 10  # the walk, the clean image, the start, its bisection


def test_sums_over_draws_do_not_depend_on_how_many_images_are_shown_at_once(monkeypatch):
    keys = tf.constant([[1, 2], [3, 4], [5, 6]])

    def function(rows, keys):
        return [tf.cast(keys, tf.float32) / 2.0**31, tf.ones_like(rows, tf.float32)]

    whole, count = queries.sum_over_draws(function, keys, 11)
    monkeypatch.setattr(queries, "AT_ONCE", 12)
    parts, same_count = queries.sum_over_draws(function, keys, 11)
    np.testing.assert_allclose(whole, parts, rtol=1e-5)
    np.testing.assert_array_equal(count, [11, 11, 11])
    np.testing.assert_array_equal(same_count, count)


@pytest.mark.parametrize("arguments", [{"norm": balls.L1}, {"steps": 0}, {"tries": 0}, {"starts": "nowhere.npy"}])
@pytest.mark.parametrize("kind", [attacks.Boundary, attacks.HopSkipJump])
def test_senseless_settings_are_refused(kind, arguments):
    with pytest.raises(InputError):
        kind(**arguments)


def test_starts_of_another_shape_are_refused():
    with pytest.raises(InputError, match="starts"):
        attacks.Boundary(starts=np.zeros([1, 2, 2, 1], "float32"))(LOGITS, IMAGES, LABELS, seed=0)
