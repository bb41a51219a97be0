"""Pixel deflection: which pixels are replaced by which, activation maps by hand, and wavelets beside PyWavelets."""

import keras
import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import InputError
from tfrobust.layers import ActivationMap, PixelDeflection, wavelets

SIZES = [(16, 16), (13, 18), (32, 32)]


def numbered(count, height, width):
    """Images whose pixels are their numbers."""
    return np.tile(np.arange(height * width, dtype="float32").reshape(1, height, width, 1), (count, 1, 1, 1))


def test_pixels_come_from_within_the_window_and_inside_the_image():
    height, width = 9, 7
    shown = PixelDeflection(deflections=30, window=2, sigma=0)(numbered(200, height, width)).numpy().astype(int)[..., 0]
    rows, columns = np.indices((height, width))
    down, right = shown // width - rows, shown % width - columns
    assert {*np.unique(down)} == {*np.unique(right)} == {-2, -1, 0, 1, 2}
    replaced = ((down != 0) | (right != 0)).sum(axis=(1, 2))
    assert replaced.max() <= 30 and replaced.mean() > 20  # some pixels are drawn twice, or replaced by themselves
    assert len({image.tobytes() for image in shown}) == 200


def test_every_pixel_is_replaced_as_often_as_another_without_a_map():
    shown = PixelDeflection(deflections=8, window=20, sigma=0)(numbered(1500, 4, 6)).numpy()
    share = (shown != numbered(1, 4, 6)).mean(axis=(0, 3))
    expected = (1 - (23 / 24) ** 8) * 23 / 24
    assert np.abs(share - expected).max() < 4.5 * np.sqrt(expected * (1 - expected) / 1500)


def test_a_map_keeps_pixels_as_far_as_it_is_high():
    importance = np.zeros((1500, 4, 6, 1), "float32")
    importance[:, :2], importance[:, 2, :3] = 1.0, 0.5
    shown = PixelDeflection(deflections=4, window=20, sigma=0)([numbered(1500, 4, 6), importance]).numpy()
    share = (shown != numbered(1, 4, 6)).mean(axis=(0, 3))
    assert not share[:2].any()
    assert np.abs(share[2, :3].mean() / share[3].mean() - 0.54) < 0.06  # a little more than 0.5: some are drawn twice


def test_settings_survive_saving_and_draws_are_fresh(tmp_path):
    images = classifiers.random_images(3, (8, 8, 3))
    layer = PixelDeflection(deflections=5, window=3, sigma=0.1, seed=4)
    model = keras.Sequential([keras.Input((8, 8, 3)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_config() == layer.get_config()
    first = model(images)
    np.testing.assert_array_equal(loaded(images), first)
    assert np.any(model(images) != first)


def test_an_activation_map_weights_the_likeliest_classes_by_halves():
    maps = classifiers.random_images(2, (4, 4, 3))
    logits = np.array([[1.0, 3.0, 2.0], [0.0, -1.0, -2.0]])
    expected = np.stack([maps[0] @ [0, 1 / 2, 1 / 4], maps[1] @ [1 / 2, 1 / 4, 0]])
    low, high = expected.min(axis=(1, 2), keepdims=True), expected.max(axis=(1, 2), keepdims=True)
    found = ActivationMap((4, 4), classes=2)([logits, maps])
    np.testing.assert_allclose(found[..., 0], (expected - low) / (high - low), atol=1e-6)
    assert ActivationMap((8, 6))([logits, maps]).shape == (2, 8, 6, 1)
    assert not np.any(ActivationMap((4, 4))([logits, np.ones((2, 4, 4, 3))]))


@pytest.mark.parametrize("size", SIZES)
def test_the_transform_is_that_of_pywavelets(size):
    pywt = pytest.importorskip("pywt")
    images = classifiers.random_images(2, (*size, 3))
    coarse, details = wavelets.transformed(images)
    expected, parts = pywt.dwt2(images, "haar", mode="symmetric", axes=(1, 2))
    np.testing.assert_allclose(coarse, expected, atol=1e-6)
    for one, other in zip(details, parts, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    restored = wavelets.restored(coarse, details)[:, : size[0], : size[1]]
    np.testing.assert_allclose(restored, images, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_gray_images_are_denoised_as_pywavelets_soft_thresholds_do(size):
    pywt = pytest.importorskip("pywt")
    sigma = 0.1
    image = classifiers.random_images(1, (*size, 1))[0, ..., 0]
    depth = wavelets.levels(*size)
    coarse, *levels = pywt.wavedec2(image, "haar", mode="symmetric", level=depth)

    def shrunk(details):
        signal = np.sqrt(max((details**2).mean() - sigma**2, 1e-12))
        return pywt.threshold(details, sigma**2 / signal, mode="soft")

    levels = [tuple(map(shrunk, details)) for details in levels]
    expected = pywt.waverec2([coarse, *levels], "haar", mode="symmetric")[: size[0], : size[1]]
    found = wavelets.denoised(image[None, ..., None], sigma)
    np.testing.assert_allclose(found[0, ..., 0], expected, atol=1e-5)


def test_denoising_brings_a_noisy_picture_nearer_to_the_clean_one_and_no_noise_changes_little():
    rows, columns = np.indices((32, 32))
    clean = np.stack([rows / 31, columns > 15, (rows + columns) / 62], axis=-1)[None].astype("float32")
    noisy = clean + np.random.default_rng(0).normal(0, 0.1, clean.shape).astype("float32")
    distance = [np.linalg.norm(image - clean) for image in (noisy, wavelets.denoised(noisy, 0.1))]
    assert distance[1] < 0.6 * distance[0]
    np.testing.assert_allclose(wavelets.denoised(clean, 1e-4), clean, atol=1e-3)


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda: PixelDeflection(deflections=0), "at least 1, got 0, 10"),
        (lambda: PixelDeflection(window=2.5), "got 100, 2.5"),
        (lambda: PixelDeflection(sigma=-1.0), "sigma must be at least 0"),
    ],
)
def test_senseless_settings_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong()
