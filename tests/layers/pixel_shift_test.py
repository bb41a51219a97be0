"""Shifts by whole pixels and random places: against images moved by hand, and which draws there are."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import InputError
from tfrobust.layers import PixelShift, ResizePad
from tfrobust.layers.pixel_shift import safe_offsets

IMAGES = classifiers.random_images(4, (7, 6, 3))
OPPOSITE = {"right": "left", "left": "right", "down": "up", "up": "down"}
MOVES = {  # what goes where, by hand
    "right": (np.s_[:, :, 2:], np.s_[:, :, :-2]),
    "left": (np.s_[:, :, :-2], np.s_[:, :, 2:]),
    "down": (np.s_[:, 2:], np.s_[:, :-2]),
    "up": (np.s_[:, :-2], np.s_[:, 2:]),
}


@pytest.mark.parametrize("direction", MOVES)
def test_zeros_come_in_on_one_side_and_as_many_pixels_go_on_the_other(direction):
    to, source = MOVES[direction]
    expected = np.zeros_like(IMAGES)
    expected[to] = IMAGES[source]
    once = PixelShift(2, direction)
    for training in (False, True):
        np.testing.assert_array_equal(once(IMAGES, training=training), expected)
    np.testing.assert_array_equal(PixelShift(1, direction)(PixelShift(1, direction)(IMAGES)), expected)
    assert not np.any(PixelShift(7, direction)(IMAGES))


@pytest.mark.parametrize("pixels", [1, 2, 3])
@pytest.mark.parametrize("direction", OPPOSITE)
def test_a_shift_and_its_opposite_restore_the_interior(direction, pixels):
    back = PixelShift(pixels, OPPOSITE[direction])(PixelShift(pixels, direction)(IMAGES)).numpy()
    inside = np.s_[:, pixels:-pixels, pixels:-pixels] if pixels < 3 else np.s_[:, 3:4]
    if pixels < 3:
        np.testing.assert_array_equal(back[inside], IMAGES[inside])
    assert (back == IMAGES).mean() > 0.4


def test_safe_offsets_are_as_long_as_said_and_leave_the_checkerboard():
    for pixels in range(1, 6):
        offsets = safe_offsets(pixels)
        assert len({*offsets}) == len(offsets) == 8 * pixels // (1 if pixels % 2 else 2)
        assert all(max(abs(down), abs(right)) == pixels and (down % 2 or right % 2) for down, right in offsets)


@pytest.mark.parametrize("pixels", [1, 2])
def test_random_shifts_are_each_images_own_and_uniform_over_the_safe_offsets(pixels):
    """800 images with one white pixel each, which shows where they went; 4.5 standard deviations."""
    image = np.zeros([800, 9, 9, 1], "float32")
    image[:, 4, 4] = 1
    layer = PixelShift(pixels, "random", seed=3)
    _, rows, columns, _ = np.nonzero(layer(image).numpy())
    offsets, counts = np.unique(np.stack([rows - 4, columns - 4]), axis=1, return_counts=True)
    assert sorted(map(tuple, offsets.T)) == sorted(safe_offsets(pixels))
    share = 1 / len(counts)
    assert np.abs(counts / 800 - share).max() < 4.5 * np.sqrt(share * (1 - share) / 800)
    assert np.any(layer(image) != layer(image))
    again = PixelShift(pixels, "random", seed=3)
    np.testing.assert_array_equal(again(image), PixelShift(pixels, "random", seed=3)(image))


def test_a_shift_is_differentiable():
    images = tf.constant(IMAGES)
    for layer in (PixelShift(1, "down"), PixelShift(1, "random")):
        with tf.GradientTape() as tape:
            tape.watch(images)
            total = tf.reduce_sum(layer(images) ** 2)
        assert 0.5 < np.mean(tape.gradient(total, images) == 2 * images) < 1


def test_resized_images_are_put_at_all_places_alike():
    images = np.ones([900, 10, 10, 1], "float32")
    layer = ResizePad(0.8, seed=1)
    found = layer(images).numpy()
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), 64)
    rows, columns = (found.max(axis=axis)[..., 0].argmax(axis=1) for axis in (2, 1))
    counts = np.unique(3 * rows + columns, return_counts=True)[1]
    assert len(counts) == 9 and np.abs(counts / 900 - 1 / 9).max() < 4.5 * np.sqrt(1 / 9 * 8 / 9 / 900)
    assert np.any(layer(images) != found)


def test_resizing_is_bilinear():
    expected = tf.image.resize(IMAGES, [6, 5]).numpy()
    found = ResizePad(0.85)(IMAGES).numpy()
    for image, small in zip(found, expected):
        parts = [image[down : down + 6, right : right + 5] for down in (0, 1) for right in (0, 1)]
        assert any(np.allclose(part, small, atol=1e-6) for part in parts)


@pytest.mark.parametrize("layer", [PixelShift(3, "up"), PixelShift(2, "random", seed=5), ResizePad(0.7, seed=2)])
def test_settings_survive_saving(layer, tmp_path):
    model = keras.Sequential([keras.Input(IMAGES.shape[1:]), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_config() == layer.get_config()
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda: PixelShift(0), "whole number of at least 1, got 0"),
        (lambda: PixelShift(1.5), "got 1.5"),
        (lambda: PixelShift(1, "north"), "right, left, down, up, random; got 'north'"),
        (lambda: ResizePad(1.0), r"in \(0, 1\)"),
        (lambda: ResizePad().build((None, None, None, 3)), "known size"),
    ],
)
def test_senseless_settings_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong()
