"""DeepFool against closed forms and against the reference values of Deep Defense's authors."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers, shared
from tfrobust import attacks, balls, layers
from tfrobust.attacks.gradient.deepfool import minimal_perturbation
from tfrobust.errors import InputError

WEIGHTS = np.array([3.0, -4.0], "float32").reshape(1, 2, 1)
IMAGES = tf.constant([[[[0.9], [0.3]]], [[[0.5], [0.3]]]])  # f = 1.5 and 0.3
LABELS = tf.constant([0, 0])
LOGITS = classifiers.two_class_linear(WEIGHTS)
NORMS = pytest.mark.parametrize("norm", [balls.L2, balls.Linf])


@pytest.mark.parametrize("norm, distance", [(balls.L2, [1.5 / 5, 0.3 / 5]), (balls.Linf, [1.5 / 7, 0.3 / 7])])
def test_linear_boundary_is_f_over_the_dual_norm_away(norm, distance):
    found = minimal_perturbation(LOGITS, IMAGES, LABELS, norm=norm)
    np.testing.assert_allclose(norm.size(found.delta), 1.02 * np.array(distance), rtol=1e-5)
    assert found.reached.numpy().all()
    np.testing.assert_array_equal(tf.argmax(LOGITS(IMAGES + found.delta), axis=1), [1, 1])


def test_a_wrong_prediction_is_measured_to_its_label():
    found = minimal_perturbation(LOGITS, IMAGES, tf.constant([1, 0]))
    np.testing.assert_allclose(balls.L2.size(found.delta), [1.02 * 0.3, 1.02 * 0.06], rtol=1e-5)
    wrong = minimal_perturbation(LOGITS, IMAGES, tf.constant([1, 1]))
    np.testing.assert_array_equal(tf.argmax(LOGITS(IMAGES + wrong.delta), axis=1), [1, 1])


def test_the_nearest_of_several_boundaries_is_taken():
    """Logits 0, a - 0.9 and b - 0.6 at (0.5, 0.5): the second boundary is 0.4 away, the third 0.1."""

    def logits_fn(images):
        flat = tf.reshape(images, [-1, 2])
        return tf.stack([tf.zeros_like(flat[:, 0]), flat[:, 0] - 0.9, flat[:, 1] - 0.6], axis=1)

    found = minimal_perturbation(logits_fn, tf.fill([1, 1, 2, 1], 0.5), tf.constant([0]))
    np.testing.assert_allclose(tf.reshape(found.delta, [-1]), [0, 0.102], atol=1e-6)


def test_perturbation_is_differentiable_with_the_closed_form_derivative():
    """||delta|| = 1.02 |f| / ||w||, so d||delta||/db = 1.02 / ||w|| for a bias b."""
    bias = tf.Variable(0.0)

    def logits_fn(images):
        score = tf.reduce_sum(images * WEIGHTS, axis=[1, 2, 3]) + bias
        return tf.stack([score, tf.zeros_like(score)], axis=1)

    @tf.function
    def derivative():
        with tf.GradientTape() as tape:
            size = balls.L2.size(minimal_perturbation(logits_fn, IMAGES[:1], LABELS[:1]).delta)
        return tape.gradient(size, bias)

    np.testing.assert_allclose(derivative(), 1.02 / 5, rtol=1e-5)


def test_derivative_through_several_steps_equals_that_of_a_plain_implementation():
    """On a curved model, s a^2 + sin(3 b) a - 0.4, the second step depends on where the first one ended."""
    scale = tf.Variable(1.0)

    def logits_fn(images):
        a, b = tf.unstack(tf.reshape(images, [-1, 2]), axis=1)
        score = scale * a * a + tf.sin(3.0 * b) * a - 0.4
        return tf.stack([score, tf.zeros_like(score)], axis=1)

    def plain_size(scale):
        """In float64: x <- x - f / ||w||^2 * w, two steps."""
        a, b = start = np.array([0.9, 0.3])
        for _ in range(2):
            score = scale * a * a + np.sin(3 * b) * a - 0.4
            normal = np.array([2 * scale * a + np.sin(3 * b), 3 * np.cos(3 * b) * a])
            a, b = np.array([a, b]) - score / (normal @ normal) * normal
        return np.linalg.norm([a, b] - start)

    with tf.GradientTape() as tape:
        found = minimal_perturbation(logits_fn, tf.constant([[[[0.9], [0.3]]]]), LABELS[:1], steps=2, overshoot=0.0)
        size = balls.L2.size(found.delta)[0]
    np.testing.assert_allclose(size, plain_size(1.0), rtol=1e-5)
    slope = (plain_size(1.0 + 1e-6) - plain_size(1.0 - 1e-6)) / 2e-6
    np.testing.assert_allclose(tape.gradient(size, scale), slope, rtol=1e-5)


def test_the_margin_is_measured_from_the_class_predicted_one_step_earlier():
    """Logits x, 0.5 and 0.6 - x, from class 2 at x = 0 to the label 0 through class 1, as in the authors' code.

    The first step ends at 0.3, where logits 0 and 2 are equal and class 1 is predicted; the margin between 0 and 2 is
    nothing there, so that the second does not move; the third, from class 1, ends at 0.5. The overshoot is 2 %.
    """

    def logits_fn(images):
        x = images[:, 0, 0, 0]
        return tf.stack([x, tf.fill(tf.shape(x), 0.5), 0.6 - x], axis=1)

    found = [minimal_perturbation(logits_fn, tf.zeros([1, 1, 1, 1]), [0], steps=steps) for steps in (1, 2, 3, 9)]
    np.testing.assert_allclose([one.delta[0, 0, 0, 0] for one in found], [0.306, 0.306, 0.51, 0.51], rtol=1e-5)
    assert [bool(one.reached[0]) for one in found] == [False, False, True, True]


def test_a_flat_model_is_left_alone():
    def constant(images):
        return tf.zeros([tf.shape(images)[0], 2]) + [1.0, 0.0] + 0.0 * tf.reduce_sum(images)

    adversarial = attacks.DeepFool()(constant, IMAGES, LABELS, seed=0)
    np.testing.assert_array_equal(adversarial, IMAGES)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@NORMS
def test_an_exact_tie_is_left(norm, offset):
    """Both logits are equal at the clean images, of which the label is the first."""

    def tied(images):
        score = tf.reduce_sum(images * np.array([3.0, -3.0], "float32").reshape(1, 2, 1), axis=[1, 2, 3])
        return tf.stack([score, tf.zeros_like(score)], axis=1) + offset

    images = np.stack([np.full([1, 2, 1], value, "float32") for value in (0.5, 0.2)])
    adversarial = attacks.DeepFool(norm)(tied, images, [0, 0], seed=0)
    np.testing.assert_array_equal(tf.argmax(tied(adversarial), axis=1), [1, 1])
    assert (norm.size(adversarial - images) < 1e-3).numpy().all()


def test_finished_examples_are_not_worked_on():
    """The number of rows that go through the model falls as examples are done."""
    rows = []
    network = classifiers.smooth_network()
    images = classifiers.random_images(30)
    labels = tf.argmax(network(images), axis=1)

    def logits_fn(x):
        rows.append(len(x))
        return network(x)

    minimal_perturbation(logits_fn, tf.constant(images), labels, overshoot=1e-5)
    assert rows[0] == 30 and rows[-1] < 30 and rows == sorted(rows, reverse=True)


@pytest.mark.parametrize("arguments", [{"norm": balls.L1}, {"steps": 0}, {"candidates": 1}, {"overshoot": -0.1}])
def test_senseless_settings_are_refused(arguments):
    with pytest.raises(InputError, match="deepfool"):
        attacks.DeepFool(**arguments)


@shared.needs_golden
def test_reference_lenet_gives_the_authors_distances_per_image():
    expected = shared.golden("deepfool_lenet_mnist")
    network = shared.reference_lenet()
    found = tf.function(minimal_perturbation)(
        lambda x: network(x, training=False),
        tf.constant(expected["images"]),
        tf.constant(expected["labels"]),
        tiny=5e-6 * 255,
    )
    np.testing.assert_allclose(found.logits, expected["logits"], atol=1e-4)
    l2 = balls.L2.size(found.delta)
    np.testing.assert_allclose(255 * l2, expected["l2_0_255"], rtol=1e-3)
    np.testing.assert_allclose(
        l2 / balls.L2.size(expected["images"] - layers.origin(network)), expected["rho_2"], rtol=1e-3
    )
    labels = np.argmax(network(expected["images"] + found.delta), axis=1)
    np.testing.assert_array_equal(labels, expected["adversarial_labels"])
