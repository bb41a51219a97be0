"""Labels along the gradient on the checkerboard and off it, and single white pixels: on classifiers with known answers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import InputError, targets
from tfrobust.analysis import checkerboard, label_map, pictures, white_pixel_success

SHAPE = (6, 5, 1)
IMAGES = classifiers.random_images(7, SHAPE)


def linear(weights, bias=0.0):
    """A Keras model with the logits (<weights, image> + bias, 0)."""
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(2)])
    kernel = np.stack([np.ravel(weights), np.zeros(30)], axis=1)
    model.set_weights([kernel, np.array([bias, 0.0])])
    return model


def test_a_linear_classifier_has_its_boundary_where_both_steps_say():
    """f = 3 on - 4 off, in units of the two directions: a step j on and i off lowers f by 3 j + 4 i."""
    board = checkerboard(SHAPE[:2])[..., None]
    weights = np.where(board, 3 / np.sqrt(board.sum()), -4 / np.sqrt((~board).sum()))
    bias = 0.45 - float((weights * IMAGES[0]).sum())  # f is 0.45 at the image
    found = label_map(linear(weights, bias), IMAGES[0], label=0, extent=0.3, points=7)
    np.testing.assert_allclose(found.steps, [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3], atol=1e-12)
    on, off = np.meshgrid(found.steps, found.steps, indexing="ij")
    np.testing.assert_array_equal(found.labels, (3 * on + 4 * off > 0.45).astype(int))


def test_nothing_changes_along_a_direction_without_a_gradient():
    board = checkerboard(SHAPE[:2])[..., None]
    found = label_map(linear(board, bias=-5.0), IMAGES[0], label=1, extent=3.0, points=5)
    assert (found.labels == found.labels[:, :1]).all() and len(np.unique(found.labels)) == 2


def test_white_pixels_that_break_are_counted_over_images_that_are_classified_correctly():
    """Only one pixel counts; white, it breaks the images in which it was below 0.5."""
    weights = np.zeros(SHAPE)
    weights[4, 1] = -1.0
    labels = (IMAGES[:, 4, 1, 0] > 0.5).astype(int)
    wrong = labels.copy()
    wrong[:2] = 1 - wrong[:2]
    for given in (labels, wrong):
        found = white_pixel_success(linear(weights, bias=0.5), IMAGES, given, batch_size=3)
        expected = np.zeros(SHAPE[:2])
        expected[4, 1] = (given == 0)[given == labels].mean()
        np.testing.assert_allclose(found, expected)
        assert 0 < expected[4, 1] < 1


def test_a_function_that_gives_labels_alone_can_be_asked_about_white_pixels():
    target = targets.FunctionTarget(lambda images: images[:, 2, 3, 0] > 0.9, "decision-based")
    found = white_pixel_success(target, IMAGES, np.zeros(7, int))
    assert found[2, 3] == 1 and found.sum() == 1


def test_pictures_are_png_files():
    network = linear(np.ones(SHAPE), bias=-10.0)
    found = label_map(network, IMAGES[0], label=0, points=5)
    assert pictures.label_map(found, label=0, classes=["cat", "dog"]).startswith(b"\x89PNG")
    assert pictures.white_pixel(np.eye(5)).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda: label_map(linear(np.ones(SHAPE)), IMAGES[0], 0, points=4), "odd number"),
        (lambda: label_map(linear(np.ones(SHAPE)), IMAGES[0], 0, extent=0.0), "positive"),
        (lambda: label_map(lambda images: np.eye(2)[[0] * len(images)] - 0.5, IMAGES[0], 0), "follows gradients"),
        (lambda: white_pixel_success(linear(np.ones(SHAPE), -99.0), IMAGES, np.zeros(7)), "no image is classified"),
        (
            lambda: white_pixel_success(linear(np.ones(SHAPE)), tf.zeros([2, 3, 3, 1]).numpy(), np.zeros(2)),
            "takes images",
        ),
    ],
)
def test_what_cannot_be_mapped_is_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong()
