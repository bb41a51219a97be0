"""The one-pixel attack on models of which the pixel that matters is known."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.score import one_pixel
from tfrobust.errors import InputError

IMAGES = classifiers.random_images(3, (5, 7, 1), low=0.2, high=0.4)
LABELS = np.zeros(3, "int32")


def weakness(images):
    """A Python function, whose answer is 1 where the pixel at row 3, column 5 is above 0.9."""
    pixel = np.asarray(images)[:, 3, 5, 0]
    return np.stack([np.full_like(pixel, 0.9), pixel], axis=1)


def test_finds_the_pixel():
    adversarial = attacks.OnePixel(balls.L0(1), population=50, steps=30)(weakness, IMAGES, LABELS, seed=0).numpy()
    changed = np.argwhere((adversarial != IMAGES)[..., 0])
    np.testing.assert_array_equal(changed, [[0, 3, 5], [1, 3, 5], [2, 3, 5]])
    values = adversarial[:, 3, 5, 0]
    assert (values > 0.9).all()
    np.testing.assert_array_equal(values, np.round(values * 255) / np.float32(255))


@pytest.mark.parametrize(("settings", "generations"), [({}, 4), ({"abort_early": False}, 20)])
def test_gives_up_what_cannot_be_broken(settings, generations):
    asked = []

    def holds(images):
        asked.append(len(images))
        return np.tile([[1.0, 0.0]], [len(images), 1])

    attack = attacks.OnePixel(balls.L0(2), population=10, steps=20, **settings)
    assert (balls.L0.size(attack(holds, IMAGES, LABELS, seed=0) - IMAGES) <= 2).numpy().all()
    assert 3 + 3 * 10 + 3 * 9 * (generations - 1) < sum(asked) <= 3 + 3 * 10 * (1 + generations)


def test_what_is_not_broken_comes_back_as_the_fittest_member():
    """The score rises with the pixel at row 3, column 5, and is not enough."""

    def nearly(images):
        pixel = np.asarray(images)[:, 3, 5, 0]
        return np.stack([np.full_like(pixel, 1.1), pixel], axis=1)

    attack = attacks.OnePixel(balls.L0(1), population=50, steps=8, abort_early=False)
    adversarial = attack(nearly, IMAGES, LABELS, seed=0).numpy()
    assert (adversarial[:, 3, 5, 0] > 0.9).all() and (balls.L0.size(adversarial - IMAGES) == 1).numpy().all()


def test_fitness_tells_members_apart_where_the_probability_of_the_label_rounds_to_one():
    logits, labels = tf.constant([[40.0, 0.0, 0.0], [39.0, 0.0, 0.0]]), tf.constant([0, 0])
    problem = Problem(lambda images: logits, IMAGES[:2], labels)
    asked, children = tf.constant([[0, 0], [1, 0]], tf.int64), tf.zeros([2, 1, 1, 3])
    (surer, less_sure), success = one_pixel._judge(problem, asked, children)
    assert surer < less_sure < 0 and not success.numpy().any()
    (surer, less_sure), success = one_pixel._judge(problem.toward(labels), asked, children)
    assert surer > less_sure > 0 and success.numpy().all()


@pytest.mark.parametrize(
    "spent, way, given_up",
    [
        (0.15, 0.0, False),  # nobody is given up before a fifth
        (0.3, 0.29, True),
        (0.3, 0.31, False),
        (0.9, 0.49, True),
        (0.9, 0.51, False),  # half of the way always suffices
        (1.0, 0.51, False),
    ],
)
def test_as_much_of_the_way_to_a_success_is_asked_as_generations_are_spent_up_to_half(spent, way, given_up):
    """From a mean fitness of -4 in the first generation; a success has 0."""
    fitness = tf.constant([[-5.0, -4.0 + 4.0 * way, -7.0]])
    state = one_pixel._Population(tf.zeros([1, 3, 1, 3]), fitness, tf.constant([-4.0]))
    found = attacks.OnePixel(balls.L0(1), steps=100)._hopeless(tf.constant(round(100 * spent)), state)
    np.testing.assert_array_equal(found, [given_up])


def test_broken_examples_are_not_asked_about_again():
    asked = []

    def easy(images):
        asked.append(len(images))
        return (
            weakness(images) + [[0.0, 10.0]] * (np.abs(np.asarray(images) - IMAGES[0]).max(axis=(1, 2, 3)) > 0)[:, None]
        )

    attacks.OnePixel(balls.L0(1), population=10, steps=5)(easy, IMAGES[:1], LABELS[:1], seed=0)
    assert sum(asked) == 1 + 10


def test_members_are_painted_on_whole_places_in_8_bits():
    problem = attacks.OnePixel(balls.L0(1)).pose(Problem(weakness, IMAGES[:1], LABELS[:1]))
    painted = problem.shown(one_pixel._paint(problem.images, tf.constant([[[3.7, 5.2, 0.5]]]))).numpy()
    np.testing.assert_array_equal(np.argwhere(painted != IMAGES[:1]), [[0, 3, 5, 0]])
    np.testing.assert_allclose(painted[0, 3, 5, 0], 128 / 255, rtol=1e-6)


def test_children_have_three_different_parents():
    """Members 2^i, so that the three that a child is made of can be read from it: child = a + b / 2 - c / 2."""
    members = tf.reshape(2.0 ** tf.range(6, dtype=tf.float32), [1, 6, 1, 1])
    allowed = {
        2.0**a + (2.0**b - 2.0**c) / 2 for a in range(6) for b in range(6) for c in range(6) if len({a, b, c}) == 3
    }
    seen = set()
    for index in range(50):
        children = one_pixel._children(tf.constant([[index, 0]]), members)
        seen |= set(children.numpy().ravel().tolist())
    assert seen <= allowed and len(seen) > 60


@pytest.mark.parametrize("arguments", [{"ball": balls.L2(1)}, {"population": 3}, {"steps": -1}])
def test_senseless_settings_are_refused(arguments):
    with pytest.raises(InputError):
        attacks.OnePixel(**{"ball": balls.L0(1), **arguments})
