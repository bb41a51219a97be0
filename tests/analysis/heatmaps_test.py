"""Gradients and perturbations layer by layer: against sums by hand, and on networks with a checkerboard."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import InputError, models
from tfrobust.analysis import checkerboard, gradient_heatmaps, perturbation_heatmaps, pictures

IMAGES = classifiers.random_images(5, (9, 8, 3))
LABELS = np.array([0, 1, 2, 3, 0])


def network():
    keras.utils.set_random_seed(0)
    images = keras.Input((9, 8, 3))
    x = keras.layers.Conv2D(4, 3, 2, name="conv1")(keras.layers.Rescaling(2.0, name="scale")(images))
    y = keras.layers.Conv2D(4, 3, padding="same", activation="tanh", name="conv2")(x)
    x = keras.layers.Flatten(name="flatten")(keras.layers.Add(name="add")([x, y]))
    return keras.Model(images, keras.layers.Dense(4, name="logits")(x))


def test_gradients_are_summed_over_channels_and_images():
    """conv1 has two ways to the logits: what of it conv2 reads counts, too."""
    model = network()
    found = gradient_heatmaps(model, IMAGES, LABELS, batch_size=2)
    assert list(found) == ["input", "conv1", "conv2"]
    conv1 = model.get_layer("conv1")(2 * IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(conv1)
        added = conv1 + model.get_layer("conv2")(conv1)
        logits = model.get_layer("logits")(tf.reshape(added, [5, -1]))
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits)
    expected = np.abs(tape.gradient(loss, conv1)).sum(axis=(0, 3))
    np.testing.assert_allclose(found["conv1"], expected, rtol=1e-4)
    assert found["input"].shape == (9, 8) and found["conv2"].shape == (4, 3)
    assert not found["input"][:, 7].any() and found["input"][:, :7].all()  # what no convolution reads


def test_without_the_skip_the_checkerboard_has_all_gradients():
    model = models.with_ace(network(), lam=float("inf"))
    (found,) = gradient_heatmaps(model, IMAGES, LABELS, layers=()).values()
    assert not found[~checkerboard((9, 8))].any()


def test_perturbations_are_means_over_images_of_sums_over_channels():
    model, changed = network(), IMAGES.copy()
    changed[0, 3, 4] += 0.05
    changed[1, 0, 0, 2] -= 0.1
    found = perturbation_heatmaps(model, IMAGES, changed, layers=["scale", "conv1"], batch_size=2)
    expected = np.zeros((9, 8))
    expected[3, 4], expected[0, 0] = 0.15 / 5, 0.1 / 5
    np.testing.assert_allclose(found["input"], expected, atol=1e-6)
    np.testing.assert_allclose(found["scale"], 2 * expected, atol=1e-6)
    reached = np.zeros((4, 3), bool)
    reached[1, 1:], reached[0, 0] = True, True
    np.testing.assert_array_equal(found["conv1"] > 1e-6, reached)


def test_pictures_are_png_files():
    model = network()
    assert pictures.gradients(gradient_heatmaps(model, IMAGES, LABELS)).startswith(b"\x89PNG")
    assert pictures.perturbations(perturbation_heatmaps(model, IMAGES, IMAGES + 0.01)).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "wrong, said",
    [
        (
            lambda: gradient_heatmaps(network(), IMAGES, LABELS, layers=["conv3"]),
            "no map 'conv3'; it has .*conv1, conv2",
        ),
        (lambda: gradient_heatmaps(network(), IMAGES, LABELS, layers=["logits"]), "no map 'logits'"),
        (lambda: gradient_heatmaps("model.keras", IMAGES, LABELS), "no functional or sequential"),
        (lambda: perturbation_heatmaps(network(), IMAGES, IMAGES[:3]), "as the clean ones"),
    ],
)
def test_what_has_no_maps_is_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong()
