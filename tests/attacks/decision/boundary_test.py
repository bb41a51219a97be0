"""The two attacks from labels alone: closed forms, Python functions, and examples without a start."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls
from tfrobust.attacks.decision import boundary
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
    # In float64, where the model that was attacked has summed in float32: it may see a 0 on the other side.
    scores = (adversarial.astype("float64") * WEIGHTS).sum(axis=(1, 2, 3)) + BIAS
    assert (scores <= 1e-5).all()
    distance = (SCORES + BIAS) / norm.dual(WEIGHTS[None]).numpy()
    reached = norm.size(adversarial - IMAGES).numpy()
    interior = np.abs(adversarial - 0.5).max(axis=(1, 2, 3)) < 0.499  # the closed form knows no limits of [0, 1]
    assert interior.sum() >= 2
    np.testing.assert_allclose(reached[interior], distance[interior], rtol=0.03)


@BOTH
def test_a_python_function_is_attacked_as_well(attack, norm):
    fewer = {"samples": 10} if isinstance(attack, attacks.HopSkipJump) else {}
    few = type(attack)(norm=norm, steps=3, starts=FAR_SIDE, **fewer)
    from_labels = few(python_labels, IMAGES, LABELS, seed=3)
    np.testing.assert_allclose(from_labels, few(LOGITS, IMAGES, LABELS, seed=3), atol=1e-5)


@pytest.mark.parametrize(
    "attack", [attacks.Boundary(steps=20, tries=100), attacks.HopSkipJump(steps=1, samples=10, tries=100)]
)
def test_an_example_that_starts_from_the_batch_does_not_disturb_the_others(attack):
    """Example 0 has to become gray, which no draw is, but the other images are; they have to become anything else."""

    def gray(images):
        return tf.cast(tf.reduce_max(tf.abs(images - 0.5), axis=[1, 2, 3]) < 0.01, tf.int32)

    images = np.full([3, 6, 5, 3], 0.5, "float32")
    images[0] = 0.9
    keys = tf.constant([[0, 0], [0, 1], [0, 2]])
    labels = tf.constant([0, 1, 1])
    adversarial = attack(gray, images, labels, seed=keys).numpy()
    np.testing.assert_array_equal(gray(adversarial), [1, 0, 0])
    assert (np.abs(adversarial[1:] - images[1:]).max(axis=(1, 2, 3)) > 0).all()
    alone = attack(gray, images[1:], labels[1:], seed=keys[1:])
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


@pytest.mark.parametrize("steps", [100, 25, 3])
def test_queries_are_eleven_for_ten_steps(steps):
    asked = []

    def logits_fn(images):
        asked.append(len(images))
        return LOGITS(images)

    attacks.Boundary(steps=steps, starts=FAR_SIDE)(logits_fn, IMAGES[:1], LABELS[:1], seed=0)
    before = 1 + 1 + 10  # the clean image, the start, its bisection
    assert before + steps <= sum(asked) <= before + steps + np.ceil(steps / 10)


def test_an_example_that_has_converged_is_not_worked_on():
    """Only white is of the other class: the source step shrinks from 1e-2 to 1e-7, by 1.5 after each 20 failures."""
    asked = tf.Variable(0)

    def white(images):
        asked.assign_add(tf.shape(images)[0])
        return tf.cast(tf.reduce_all(images == 1.0, axis=[1, 2, 3]), tf.int32)

    start = np.ones([1, 3, 4, 1], "float32")
    attack = tf.function(attacks.Boundary(steps=2000, starts=start), autograph=False)
    adversarial = attack(white, IMAGES[:1], LABELS[:1], seed=0)
    np.testing.assert_array_equal(adversarial, start)
    shrinkings = np.ceil(np.log(1e-2 / 1e-7) / np.log(1.5))
    assert int(asked) <= 12 + 1.1 * 20 * shrinkings


def test_walks_on_where_it_hardly_gets_nearer():
    """The distance is the result, whatever the last hundreds of steps brought."""
    asked = tf.Variable(0)

    def counted(images):
        asked.assign_add(tf.shape(images)[0])
        return LOGITS(images)

    attack = attacks.Boundary(steps=2000, starts=FAR_SIDE)
    tf.function(attack, autograph=False)(counted, IMAGES, LABELS, seed=0)
    assert int(asked) > 1350 * len(IMAGES)  # they end when the source step is 1e-7


@pytest.mark.parametrize("arguments", [{"norm": balls.L1}, {"steps": 0}, {"tries": 0}, {"starts": "nowhere.npy"}])
@pytest.mark.parametrize("kind", [attacks.Boundary, attacks.HopSkipJump])
def test_senseless_settings_are_refused(kind, arguments):
    with pytest.raises(InputError):
        kind(**arguments)


def test_starts_of_another_shape_are_refused():
    with pytest.raises(InputError, match="starts"):
        attacks.Boundary(starts=np.zeros([1, 2, 2, 1], "float32"))(LOGITS, IMAGES, LABELS, seed=0)
