"""The standardising layer."""

import keras
import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import defenses, models
from tfrobust.layers import Standardize, origin

IMAGES = classifiers.random_images(2, (4, 3, 2))
MEAN_IMAGE = classifiers.random_images(1, (4, 3, 2), seed=1)[0]


@pytest.mark.parametrize("mean, std", [(0.5, 0.25), ([0.1, 0.9], [0.2, 0.3]), (MEAN_IMAGE, 1 / 255)])
def test_subtracts_the_mean_and_divides(mean, std):
    expected = (IMAGES - np.asarray(mean, "float32")) / np.asarray(std, "float32")
    np.testing.assert_allclose(Standardize(mean, std)(IMAGES), expected, rtol=1e-5)


def test_survives_configuration_cloning_and_saving(tmp_path):
    model = keras.Sequential([keras.Input((4, 3, 2)), Standardize(MEAN_IMAGE, 1 / 255)])
    model.save(tmp_path / "model.keras")
    copies = [keras.models.clone_model(model), keras.saving.load_model(tmp_path / "model.keras")]
    for copy in copies:
        np.testing.assert_array_equal(copy(IMAGES), model(IMAGES))
    assert not model.weights


def test_runs_in_the_precision_of_its_policy():
    assert Standardize(0.5, 0.5, dtype="mixed_bfloat16")(IMAGES).dtype == "bfloat16"


@pytest.mark.parametrize("mean, std", [(float("nan"), 1.0), (0.0, 0.0), (0.0, [1.0, -1.0])])
def test_senseless_constants_are_refused(mean, std):
    with pytest.raises(ValueError, match="Standardize"):
        Standardize(mean, std)


def test_origin_is_what_becomes_zero():
    model = keras.Sequential([keras.Input((4, 3, 2)), Standardize(MEAN_IMAGE, 1 / 255)])
    np.testing.assert_array_equal(model(origin(model)[None]), np.zeros([1, 4, 3, 2]))
    assert origin(keras.Sequential([keras.Input((4, 3, 2)), keras.layers.Flatten()])) == 0


def test_the_origin_of_an_ensemble_is_that_of_its_members():
    members = [models.mlp(mean=0.25), models.mlp(mean=0.25)]
    np.testing.assert_allclose(origin(defenses.ensemble(members)), 0.25)
