"""A SavedModel is published only if it gives the model's logits."""

import keras
import numpy as np
import pytest

from export import saved_model
from tests.support import programs
from tfrobust import defenses, models, targets


@pytest.fixture(scope="module")
def networks():
    """Two networks that differ in their weights."""
    keras.utils.set_random_seed(0)
    return models.lenet(mean=0.3), models.lenet(mean=0.3)


def test_largest_difference_tells_networks_apart(networks):
    one, other = (targets.KerasTarget(network) for network in networks)
    assert saved_model.largest_difference(one, one) < 1e-5
    assert saved_model.largest_difference(one, other) > 1e-2


def test_a_model_that_answers_differently_each_time_is_published_uncompared(networks, tmp_path):
    defenses.pixel_shift(networks[0], direction="random").save(tmp_path / "model.keras")
    flags = (f"--model={tmp_path / 'model.keras'}", f"--output={tmp_path / 'served'}")
    assert "this difference says nothing" in programs.succeed("export.saved_model", *flags)
    images = np.random.default_rng(0).random((4, 28, 28, 1), "float32")
    predict = targets.load(tmp_path / "served/1").predictor()
    assert np.any(predict(images) != predict(images))


def test_an_export_that_differs_is_not_published(artifacts, tmp_path):
    output = tmp_path / "served"
    process = programs.run_code(
        f"""
import sys
from export import saved_model
from tfrobust.cli import program

sys.argv = ["saved_model", "--model={artifacts.model}", "--output={output}"]
saved_model.largest_difference = lambda one, other: 0.5 * (one is not other)
program.run(saved_model.main)
"""
    )
    assert process.returncode == 1, process.stderr[-2000:]
    assert "failed: the logits differ" in process.stdout and "saved model:" not in process.stdout
    assert not output.exists()
