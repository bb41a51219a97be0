"""How alike images look, against numbers computed by hand."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tfrobust import InputError
from tfrobust.evaluation import similarity

C1, C2 = 0.01**2, 0.03**2  # of structural similarity


def smooth(channels=1, seed=0):
    """Something to align by: [40, 40, channels] in [0, 1]."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((40, 40, channels)), (3, 3, 0))
    return ((noise - noise.min()) / np.ptp(noise)).astype("float32")


def cut(image, row=4, column=4, size=28):
    return image[None, row : row + size, column : column + size]


def test_psnr_of_known_errors():
    images = np.zeros([3, 4, 4, 3], "float32")
    found = similarity.psnr(images, images + np.array([0.1, 1.0, 0.0]).reshape(3, 1, 1, 1))
    np.testing.assert_allclose(found, [20, 0, np.inf], atol=1e-5)


def test_pass_of_flat_images_is_that_of_their_luminance():
    """Without anything to align by, and with no variance: (2 a b + C1) / (a^2 + b^2 + C1)."""
    one, other = np.full([1, 16, 16, 1], 0.3, "float32"), np.full([1, 16, 16, 1], 0.5, "float32")
    np.testing.assert_allclose(similarity.pass_scores(one, other), (2 * 0.15 + C1) / (0.09 + 0.25 + C1), rtol=1e-4)


def test_pass_of_a_change_of_contrast_is_structural_similarity_window_by_window():
    """Correlation does not see a change of contrast, so that nothing is moved."""
    image = cut(smooth())
    other = 0.5 * image + 0.25
    steps = np.arange(11) - 5
    weights = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * 1.5**2))
    weights /= weights.sum()
    found = []
    for row in range(18):
        for column in range(18):
            x, y = (values[0, row : row + 11, column : column + 11, 0].astype("float64") for values in (other, image))
            mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
            var_x, var_y = (weights * x * x).sum() - mean_x**2, (weights * y * y).sum() - mean_y**2
            covariance = (weights * x * y).sum() - mean_x * mean_y
            luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
            found.append(luminance * (2 * covariance + C2) / (var_x + var_y + C2))
    np.testing.assert_allclose(similarity.pass_scores(other, image), np.mean(found), rtol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_pass_does_not_see_that_an_image_is_moved(channels):
    image = smooth(channels)
    still, moved = similarity.pass_scores(np.concatenate([cut(image), cut(image, 5, 6)]), np.repeat(cut(image), 2, 0))
    unaligned = tf.image.ssim(cut(image, 5, 6), cut(image), max_val=1.0)
    assert still == pytest.approx(1, abs=1e-5) and moved > 0.98 and unaligned < 0.8


def test_pass_sees_that_something_else_is_there():
    assert similarity.pass_scores(cut(smooth(seed=1)), cut(smooth())) < 0.7


def test_pass_of_small_images_is_refused():
    with pytest.raises(InputError, match="at least 11 pixels"):
        similarity.pass_scores(np.zeros([1, 8, 28, 1]), np.zeros([1, 8, 28, 1]))
