"""Common corruptions: what each does to an image, and that severities grow."""

import numpy as np
import pytest

from tfrobust.errors import InputError
from tfrobust.evaluation import common_corruptions
from tfrobust.evaluation.common_corruptions import NAMES, corrupted


def smooth_images(count=3, size=32, channels=3):
    """Waves and an edge, between 0.2 and 0.8."""
    rows, columns = np.mgrid[:size, :size] / size
    waves = [np.sin(2 * np.pi * (k * rows + (k + 1) * columns)) for k in range(1, count + 1)]
    images = np.stack([0.5 + 0.2 * wave + 0.1 * (columns > 0.5) for wave in waves])
    return np.repeat(images[..., None], channels, axis=3).astype("float32")


IMAGES = smooth_images()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [32, 80])
def test_images_stay_images_and_change_more_with_the_severity(name, size):
    images = smooth_images(2, size)
    made = [corrupted(images, name, severity) for severity in common_corruptions.SEVERITIES]
    for one in made:
        assert one.shape == images.shape and one.dtype == np.float32 and one.min() >= 0 and one.max() <= 1
        np.testing.assert_allclose(one * 255, np.round(one * 255), atol=1e-3)  # as files hold them
    changes = [np.abs(one - images).mean() for one in made]
    assert changes[0] > 0 and changes[4] > (changes[0] if name != "elastic_transform" else 0)  # it changes in kind


@pytest.mark.parametrize("name", NAMES)
def test_an_image_looks_the_same_in_whatever_company_but_for_its_place(name):
    few, all_of_them = corrupted(IMAGES[:2], name, 3, seed=4), corrupted(IMAGES, name, 3, seed=4)
    np.testing.assert_array_equal(few, all_of_them[:2])


def test_pixels_of_8_bits_are_as_good_as_floats():
    levels = np.round(IMAGES * 255).astype("uint8")
    np.testing.assert_array_equal(corrupted(levels, "fog", 2), corrupted(levels / np.float32(255), "fog", 2))


@pytest.mark.parametrize("name", NAMES)
def test_gray_images_are_corrupted_as_gray_ones(name):
    made = corrupted(smooth_images(1, 28, 1), name, 5)
    assert made.shape == (1, 28, 28, 1) and np.isfinite(made).all()


def test_noise_has_the_deviation_of_its_severity():
    flat = np.full([1, 60, 60, 3], 0.5, "float32")
    assert np.std(corrupted(flat, "gaussian_noise", 4)) == pytest.approx(0.09, rel=0.05)
    assert np.std(corrupted(flat, "shot_noise", 3)) == pytest.approx(np.sqrt(0.5 / 100), rel=0.05)
    impulses = corrupted(flat, "impulse_noise", 5)
    assert (impulses == 0).mean() == pytest.approx(0.035, abs=0.006) == pytest.approx((impulses == 1).mean(), abs=0.006)


@pytest.mark.parametrize("name", ["defocus_blur", "motion_blur", "zoom_blur", "glass_blur"])
def test_blurs_keep_the_mean_and_take_the_detail(name):
    images = np.random.default_rng(0).random([1, 32, 32, 3], dtype="float32")
    made = corrupted(images, name, 5)
    assert abs(made.mean() - images.mean()) < 0.03 and made.std() < 0.8 * images.std()


def test_brightness_keeps_the_hue_and_contrast_the_mean():
    color = np.tile(np.float32([0.2, 0.4, 0.1]), [1, 8, 8, 1])
    brighter = corrupted(color, "brightness", 5)[0, 0, 0]
    np.testing.assert_allclose(brighter / brighter.max(), [0.5, 1.0, 0.25], atol=0.02)
    assert brighter.max() == pytest.approx(0.7, abs=0.01)
    flatter = corrupted(IMAGES, "contrast", 5)
    np.testing.assert_allclose(flatter.mean(axis=(1, 2)), IMAGES.mean(axis=(1, 2)), atol=0.01)
    np.testing.assert_allclose(flatter.std(axis=(1, 2)), 0.15 * IMAGES.std(axis=(1, 2)), atol=0.01)


def test_a_motion_goes_along_a_line():
    """A point becomes a line of half a Gaussian: it is moved to one side alone."""
    point = np.zeros([40, 40, 1])
    point[20, 20] = 1.0
    made = common_corruptions._moved(point, 6, 2.0, 0.0)[:, :, 0]
    assert set(np.flatnonzero(made.sum(axis=1))) == {20} and made[20, 20] == made.max()
    weights = np.exp(-(np.arange(13) ** 2) / 8)
    np.testing.assert_allclose(made[20, 8:21][::-1], weights / weights.sum(), atol=1e-12)


@pytest.mark.parametrize("wrong", [{"name": "frost"}, {"severity": 0}, {"severity": 6}])
def test_what_there_is_not_is_refused(wrong):
    with pytest.raises(InputError):
        corrupted(**{"images": IMAGES, "name": "fog", "severity": 1, **wrong})
    with pytest.raises(InputError, match="1 or 3 channels"):
        corrupted(np.zeros([1, 8, 8, 2], "float32"), "fog", 1)
