"""Images that are turned and moved, beside NumPy's and beside bilinear sums written out."""

import numpy as np
import tensorflow as tf

from tfrobust.attacks.warp import warped

IMAGES = np.random.default_rng(0).random([3, 7, 7, 2]).astype("float32")
STILL = np.zeros([3, 2], "float32")


def test_whole_moves_and_quarter_turns_are_those_of_numpy():
    np.testing.assert_array_equal(warped(IMAGES, np.zeros(3, "float32"), STILL), IMAGES)
    moved = warped(IMAGES, np.zeros(3, "float32"), np.tile(np.float32([2, -1]), (3, 1)))
    np.testing.assert_allclose(moved[:, 2:, :-1], IMAGES[:, :-2, 1:], atol=1e-6)
    assert not np.any(moved[:, :2]) and not np.any(moved[:, :, -1])
    turned = warped(IMAGES, np.full(3, 90, "float32"), STILL)
    np.testing.assert_allclose(turned, np.rot90(IMAGES, axes=(1, 2)), atol=1e-5)


def test_each_image_is_turned_scaled_and_then_moved_by_numbers_of_its_own():
    degrees, scales = np.float32([20, -75, 5]), np.float32([1, 1.3, 0.6])
    shift = np.float32([[0, 0], [1.5, -0.25], [-1, 2]])
    found = warped(IMAGES, degrees, shift, scales).numpy()
    for image, angle, (down, right), scale, made in zip(IMAGES, np.deg2rad(degrees), shift, scales, found):
        for row in range(7):
            for column in range(7):
                x, y = (column - 3 - right) / scale, (row - 3 - down) / scale
                # The picture turns counterclockwise, with rows that grow downward.
                from_column, from_row = (
                    np.cos(angle) * x - np.sin(angle) * y + 3,
                    np.sin(angle) * x + np.cos(angle) * y + 3,
                )
                np.testing.assert_allclose(made[row, column], bilinear(image, from_row, from_column), atol=1e-5)


def bilinear(image, row, column):
    total = np.zeros(image.shape[-1])
    for i in (int(np.floor(row)), int(np.floor(row)) + 1):
        for j in (int(np.floor(column)), int(np.floor(column)) + 1):
            if 0 <= i < len(image) and 0 <= j < len(image):
                total += (1 - abs(row - i)) * (1 - abs(column - j)) * image[i, j]
    return total


def test_one_image_serves_all():
    """As a patch does."""
    degrees = np.float32([10, 20, 30])
    same = warped(IMAGES[:1], degrees, STILL)
    np.testing.assert_array_equal(same, warped(np.repeat(IMAGES[:1], 3, axis=0), degrees, STILL))
    with tf.GradientTape() as tape:
        image = tf.constant(IMAGES[:1])
        tape.watch(image)
        moved = warped(image, np.zeros(3, "float32"), STILL)
    np.testing.assert_allclose(tape.gradient(moved, image), np.full([1, 7, 7, 2], 3.0), atol=1e-5)
