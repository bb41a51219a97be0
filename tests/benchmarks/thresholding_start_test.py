"""The start for adversarial training at 0.3."""

import numpy as np
import pytest

from tests.support import programs
from tfrobust import targets


@pytest.mark.parametrize("model", ["madry_cnn", "small_cnn"])
def test_it_answers_the_same_within_0_3_of_a_black_and_white_image(model, tmp_path):
    path = tmp_path / "start.keras"
    process = programs.run("benchmarks.thresholding_start", f"--model={model}", f"--output={path}")
    assert process.returncode == 0, process.stderr
    network = targets.load(path)
    images, generator = np.random.default_rng(0).integers(0, 2, [8, 28, 28, 1]), np.random.default_rng(1)

    def moved(radius):
        shifted = images + generator.choice([-radius, radius], images.shape)
        return network.logits(np.clip(shifted, 0.0, 1.0).astype("float32"))

    np.testing.assert_allclose(moved(0.3), moved(0.0), atol=1e-5)
    assert np.abs(moved(0.45) - moved(0.0)).max() > 0.1
    assert np.ptp(moved(0.0), axis=0).min() > 0.1  # it does see the images
