"""EAD against a plain descent, a closed form and the distances of Foolbox's."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers, shared
from tfrobust import attacks, balls
from tfrobust.errors import InputError

WEIGHTS = np.array([3.0, -4.0], "float32").reshape(1, 2, 1)
IMAGES = tf.constant([[[[0.9], [0.3]]], [[[0.5], [0.3]]]])  # f = 1.5 and 0.3
LOGITS = classifiers.two_class_linear(WEIGHTS)


def plain_descent(image, weight, steps, rate, beta):
    """Algorithm 1 for one c, on the linear model, whose margin is -(3, -4) x: the points x, in order."""
    x = slack = clean = image.numpy().ravel().astype("float64")
    points = []
    for count in range(steps):
        margin = -(3 * slack[0] - 4 * slack[1])
        slope = 2 * (slack - clean) - (weight * np.array([-3.0, 4.0]) if margin < 0 else 0)
        moved = slack - rate * np.sqrt(1 - count / steps) * slope
        delta = moved - clean
        new = np.clip(clean + np.sign(delta) * np.maximum(np.abs(delta) - beta, 0), 0, 1)
        slack, x = new + count / (count + 3) * (new - x), new
        points.append(x)
    return np.array(points)


@pytest.mark.parametrize("weight", [0.05, 0.4])
def test_a_descent_goes_where_a_plain_one_goes(weight):
    asked = []

    def logits_fn(images):
        asked.append(images.numpy())
        return LOGITS(images)

    attack = attacks.EAD(searches=1, steps=20, step_size=0.02, beta=0.005, initial_const=weight, abort_early=False)
    attack(logits_fn, IMAGES[:1], [0], seed=0)
    visited = np.array(asked[2::2]).reshape(-1, 2)  # the clean image, then a slack and a point in turn
    np.testing.assert_allclose(visited, plain_descent(IMAGES[0], weight, 20, 0.02, 0.005), atol=1e-5)


def test_linear_boundary_is_f_over_the_largest_weight_away():
    attack = tf.function(attacks.EAD(searches=15, steps=300, beta=0.1), autograph=False)
    adversarial = attack(LOGITS, IMAGES, tf.constant([0, 0]), seed=0)
    np.testing.assert_array_equal(tf.argmax(LOGITS(adversarial), axis=1), [1, 1])
    np.testing.assert_allclose(balls.L1.size(adversarial - IMAGES), [1.5 / 4, 0.3 / 4], rtol=0.05)


@shared.needs_golden
def test_with_the_rule_of_the_elastic_net_distances_are_those_of_foolbox():
    """Of the first 8 images, which Foolbox' settings take 9 times 1,000 steps for; by hand, the median of all 100 to 1e-5."""
    reference, golden = shared.golden("minimal_norm_lenet_mnist"), shared.golden("deepfool_lenet_mnist")
    images, labels, network = golden["images"][:8], golden["labels"][:8], shared.reference_lenet()
    adversarial = tf.function(attacks.EAD(elastic=True), autograph=False)(network, images, labels, seed=0)
    for norm in (balls.L1, balls.L2):
        expected = reference[f"ead:{norm.__name__.lower()}"][:8]
        np.testing.assert_allclose(norm.size(adversarial - images), expected, rtol=0.01)


@pytest.mark.parametrize("arguments", [{"norm": balls.L2}, {"steps": 0}, {"searches": 0}, {"beta": 0.0}])
def test_senseless_settings_are_refused(arguments):
    with pytest.raises(InputError, match=f"ead: {next(iter(arguments))} must be"):
        attacks.EAD(**arguments)
