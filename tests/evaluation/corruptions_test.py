"""Changes of images that nobody optimizes."""

import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import InputError
from tfrobust.evaluation import corruptions


def test_noise_has_its_size_is_clipped_at_two_deviations_and_grows_with_sigma():
    gray = np.full([4, 50, 50, 3], 0.5, "float32")
    found = (corruptions.gaussian_noise(gray, 0.1, seed=3) - gray) / 0.1
    assert abs(found).max() == pytest.approx(2, abs=1e-4) and np.mean(abs(found) > 1.999) == pytest.approx(
        0.0455, abs=3e-3
    )
    assert found.std() == pytest.approx(0.96, abs=0.01) and abs(found.mean()) < 0.01  # of a normal one, clipped at 2
    np.testing.assert_allclose(corruptions.gaussian_noise(gray, 0.05, seed=3) - gray, 0.05 * found, atol=1e-6)
    assert np.any(corruptions.gaussian_noise(gray, 0.1, seed=4) - gray != 0.1 * found)
    white = np.ones([1, 50, 50, 3], "float32")
    assert corruptions.gaussian_noise(white, 0.1).max() == 1.0


@pytest.mark.parametrize("grid", [1, 2, 3])
def test_patches_are_all_there_in_another_order_for_each_image(grid):
    images = classifiers.random_images(5, (6, 12, 3))
    found = corruptions.shuffled_patches(images, grid, seed=1)

    def patches(image):
        rows = np.split(image, grid, axis=0)
        return [part.tobytes() for row in rows for part in np.split(row, grid, axis=1)]

    orders = set()
    for image, other in zip(images, found, strict=True):
        assert sorted(patches(image)) == sorted(patches(other))
        orders.add(tuple(patches(image).index(part) for part in patches(other)))
    assert len(orders) == (1 if grid == 1 else 5 if grid == 3 else len(orders)) and (grid == 1 or len(orders) > 1)
    np.testing.assert_array_equal(found, corruptions.shuffled_patches(images, grid, seed=1))


def test_patches_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="5 x 5 patches do not divide images of 6 x 12"):
        corruptions.shuffled_patches(classifiers.random_images(2, (6, 12, 3)), 5)
