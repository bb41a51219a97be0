"""What the trainers share."""

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
