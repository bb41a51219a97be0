"""What is refused as images and labels."""

import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import data
from tfrobust.errors import InputError

IMAGES = classifiers.random_images(3, (4, 4, 1))


@pytest.mark.parametrize(
    "images, labels, said",
    [
        ((IMAGES * 255).astype("uint8"), None, "uint8"),
        (IMAGES[0], None, r"\(4, 4, 1\)"),
        (IMAGES[:0], None, "no images"),
        (np.where(IMAGES[1, 2, 2, 0] == IMAGES, np.nan, IMAGES), None, "NaN.*image 1"),
        (IMAGES + np.array([0, 0, 1]).reshape(3, 1, 1, 1), None, "image 2"),
        (IMAGES - 0.5, None, r"\[0, 1\]"),
        (IMAGES, [0, 1], r"labels.*\[3\]"),
        (IMAGES, [0.0, 1.0, 2.0], "labels.*float"),
        (IMAGES, [0, -1, 1], "at least 0"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(images, labels, said):
    with pytest.raises(InputError, match=said):
        data.check_images(images, labels)
