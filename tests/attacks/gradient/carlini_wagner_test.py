"""Carlini and Wagner's attack against closed forms."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls
from tfrobust.errors import InputError

WEIGHTS = np.array([3.0, -4.0], "float32").reshape(1, 2, 1)
IMAGES = tf.constant([[[[0.9], [0.3]]], [[[0.5], [0.3]]]])  # f = 1.5 and 0.3
LABELS = tf.constant([0, 0])
LOGITS = classifiers.two_class_linear(WEIGHTS)


def three_classes(images):
    """Logits 0, a - 0.9 and b - 0.6."""
    flat = tf.reshape(images, [-1, 2])
    return tf.stack([tf.zeros_like(flat[:, 0]), flat[:, 0] - 0.9, flat[:, 1] - 0.6], axis=1)


@pytest.mark.parametrize("confidence", [0.0, 0.5])
def test_linear_boundary_is_f_and_confidence_over_the_norm_away(confidence):
    attack = attacks.CarliniWagner(confidence=confidence, steps=400)
    adversarial = tf.function(attack)(LOGITS, IMAGES, LABELS, seed=0)
    expected = (np.array([1.5, 0.3]) + confidence) / 5
    np.testing.assert_allclose(balls.L2.size(adversarial - IMAGES), expected, rtol=0.01)
    logits = LOGITS(adversarial)
    assert (logits[:, 1] - logits[:, 0] > confidence).numpy().all()


@pytest.mark.parametrize("goal, distance", [(1, 0.4), (2, 0.1)])
def test_targeted_goes_to_the_goal(goal, distance):
    images = tf.fill([1, 1, 2, 1], 0.5)
    attack = attacks.CarliniWagner(steps=400, targeted=True)
    adversarial = tf.function(attack)(three_classes, images, tf.constant([goal]), seed=0)
    np.testing.assert_array_equal(tf.argmax(three_classes(adversarial), axis=1), [goal])
    np.testing.assert_allclose(balls.L2.size(adversarial - images), [distance], rtol=0.02)


def test_an_example_is_neither_helped_nor_hurt_by_the_others():
    """The constant, the moments and the test for progress are each example's own."""
    specifications = [tf.TensorSpec([None, 1, 2, 1]), tf.TensorSpec([None], tf.int32)]
    attack = tf.function(
        lambda images, labels: attacks.CarliniWagner(searches=3, steps=40, learning_rate=0.05)(
            LOGITS, images, labels, seed=0
        ),
        specifications,
    )
    together = attack(IMAGES, LABELS)
    for index in range(2):
        alone = attack(IMAGES[index : index + 1], LABELS[:1])
        np.testing.assert_allclose(alone[0], together[index], atol=1e-6)


def test_what_cannot_be_broken_comes_back_clean():
    adversarial = attacks.CarliniWagner(confidence=100.0, searches=3, steps=30)(LOGITS, IMAGES, LABELS, seed=0)
    np.testing.assert_array_equal(adversarial, IMAGES)


def test_black_and_white_pixels_are_moved():
    images = tf.constant([[[[1.0], [0.0]]]])
    adversarial = tf.function(attacks.CarliniWagner(steps=1000))(LOGITS, images, LABELS[:1], seed=0)
    assert np.isfinite(adversarial).all()
    np.testing.assert_allclose(balls.L2.size(adversarial - images), [3 / 5], rtol=0.01)


@pytest.mark.parametrize("others", [[0.5, 0.0], [0.5, 0.01], [0.3, 0.004, 0.7, -0.01, 0.5, 0.02], [0.5, 0.1, 0.9, 0.1]])
def test_pixels_that_are_free_but_hardly_matter_do_not_end_the_search(others):
    """Value and weight of each gray pixel, beside the black and the white one that hold the margin of 3."""
    values, weights = [1.0, 0.0, *others[::2]], [3.0, -4.0, *others[1::2]]
    image = np.reshape(values, [1, 1, -1, 1]).astype("float32")
    rest = np.dot(others[::2], others[1::2])
    logits_fn = classifiers.two_class_linear(np.reshape(weights, [1, -1, 1]), -rest)
    adversarial = tf.function(attacks.CarliniWagner(steps=1000))(logits_fn, image, LABELS[:1], seed=0)
    np.testing.assert_allclose(balls.L2.size(adversarial - image), [3 / np.linalg.norm(weights)], rtol=0.01)


def test_what_no_search_has_broken_gets_one_more_with_the_largest_constant():
    """Logits of 1e-8 need c of about 1e7. The example that the first search has broken is not asked about again."""
    scale, rows = tf.constant([1.0, 1e-8])[:, None], []

    def logits_fn(images):
        rows.append(len(images))
        return LOGITS(images) * (scale if len(images) == 2 else scale[1:])

    attack = attacks.CarliniWagner(searches=1, steps=40, learning_rate=0.05, initial_const=100.0, abort_early=False)
    adversarial = attack(logits_fn, IMAGES, LABELS, seed=0)
    size = balls.L2.size(adversarial - IMAGES)
    assert (LOGITS(adversarial)[:, 1] > LOGITS(adversarial)[:, 0]).numpy().all() and (size > 0.05).numpy().all()
    assert rows == [2] + [2] * 40 + [2] + [1] * 39  # the first step of a search is everybody's


def test_the_constant_grows_tenfold_until_it_does_and_is_then_bisected(monkeypatch):
    """Example 0 needs c > 0.03, example 1 c > 5: between the largest that fails and the smallest that does."""
    tried = []

    def descend(attack, problem, start, weight, nearest, done):
        tried.append(weight.numpy())
        broken = weight > [0.03, 5.0]
        return nearest._replace(size=tf.where(broken, 1.0, nearest.size)), broken

    monkeypatch.setattr(attacks.CarliniWagner, "_descend", descend)
    attacks.CarliniWagner(searches=8)(LOGITS, IMAGES, LABELS, seed=0)
    first = [0.001, 0.01, 0.1, 0.055, 0.0325, 0.02125, 0.026875, 0.0296875]
    second = [0.001, 0.01, 0.1, 1.0, 10.0, 5.5, 3.25, 4.375]
    np.testing.assert_allclose(np.transpose(tried), [first, second], rtol=1e-5)


@pytest.mark.parametrize("fall, asked", [(0.003, 100), (0.002, 26)])
def test_examples_are_given_up_whose_loss_falls_by_less_than_a_quarter_percent_between_tests(fall, asked):
    """A flat model whose answer falls by that share in 25 queries, each time; it stands still, so that is the loss."""
    seen = []

    def logits_fn(images):
        seen.append(len(images))
        score = (1.0 - fall) ** (len(seen) / 25) + 0.0 * tf.reduce_sum(images, axis=[1, 2, 3])
        return tf.stack([score, tf.zeros_like(score)], axis=1)

    attacks.CarliniWagner(searches=1, steps=100, initial_const=1.0)(logits_fn, IMAGES, LABELS, seed=0)
    # The clean images, and steps 0 to 99, or to 25: those up to the first test. Then once more, with the largest c.
    assert seen == [2] * (1 + 2 * asked)


def test_without_abort_early_no_example_is_given_up():
    rows = []

    def logits_fn(images):
        rows.append(len(images))
        return 0.0 * LOGITS(images) + [1.0, 0.0]

    for abort_early, asked in ((True, 26), (False, 50)):
        attack = attacks.CarliniWagner(searches=1, steps=50, abort_early=abort_early)
        rows.clear()
        attack(logits_fn, IMAGES, LABELS, seed=0)
        assert rows == [2] * (1 + 2 * asked)


@pytest.mark.parametrize(
    "arguments", [{"norm": balls.Linf}, {"steps": 0}, {"searches": 1.5}, {"confidence": -1}, {"learning_rate": 0}]
)
def test_senseless_settings_are_refused(arguments):
    with pytest.raises(InputError, match="carlini_wagner"):
        attacks.CarliniWagner(**arguments)
