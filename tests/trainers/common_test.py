"""What the trainers share."""

import keras
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from tests.support import classifiers
from tfrobust import InputError, data
from trainers import common


@pytest.fixture(autouse=True)
def parsed_flags():
    """The defaults; each test parses what it changes."""
    flags.FLAGS.mark_as_parsed()


def split(shape=(28, 28, 1), classes=10):
    return data.Split(classifiers.random_images(20, shape), np.arange(20) % classes, classes)


@flagsaver.as_parsed(workdir="unused", learning_rate="0.1", momentum="0.5", weight_decay="0.2")
def test_weight_decay_goes_through_the_momentum():
    """v <- 0.5 v - 0.1 (g + 0.2 w); w <- w + v, with g = 1: from 1, by -0.12 and then by -0.06 - 0.1176."""
    optimizer = common.make_optimizer(steps_per_epoch=1)
    weight = keras.Variable([1.0])
    for expected in (0.88, 0.88 - 0.06 - 0.1 * (1 + 0.2 * 0.88)):
        optimizer.apply_gradients([(np.ones(1, "float32"), weight)])
        np.testing.assert_allclose(weight, [expected], rtol=1e-6)


@flagsaver.as_parsed(workdir="unused", learning_rate="0.8", learning_rate_drops=["2", "5"], learning_rate_factor="0.5")
def test_learning_rate_drops_after_the_given_epochs():
    schedule = common.make_optimizer(steps_per_epoch=10)._learning_rate
    rates = [float(schedule(step)) for step in (0, 19, 21, 49, 51)]
    np.testing.assert_allclose(rates, [0.8, 0.8, 0.4, 0.4, 0.2], rtol=1e-6)


@flagsaver.as_parsed(workdir="unused")
def test_a_new_network_subtracts_the_mean_image():
    train = split()
    network = common.make_network("mlp", train)
    np.testing.assert_allclose(network.get_layer("preprocessing").mean, train.mean_image(), rtol=1e-6)


@pytest.mark.parametrize("train", [split(classes=11), split(shape=(32, 32, 1))])
def test_a_network_that_does_not_fit_the_data_is_refused(tmp_path, train):
    with flagsaver.as_parsed(workdir="unused"):
        common.make_network("mlp", split()).save(tmp_path / "model.keras")
    with (
        flagsaver.as_parsed(workdir="unused", init_weights=str(tmp_path / "model.keras")),
        pytest.raises(InputError, match=r"model\.keras"),
    ):
        common.make_network("mlp", train)
