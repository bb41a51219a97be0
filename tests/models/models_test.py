"""The networks of the papers."""

import keras
import numpy as np
import pytest

from tests.support import classifiers, shared
from tfrobust import data, models
from tfrobust.errors import InputError

PARAMETERS = {"lenet": 431_080, "mlp": 469_160}  # of Deep Defense, table 4, for MNIST


@pytest.mark.parametrize("name", models.MODELS)
def test_has_the_papers_size(name):
    assert models.build(name).count_params() == PARAMETERS[name]


@pytest.mark.parametrize("name", models.MODELS)
@pytest.mark.parametrize("shape, classes", [((28, 28, 1), 10), ((32, 32, 3), 7), ((24, 20, 1), 2)])
def test_maps_images_to_logits(name, shape, classes):
    logits = models.build(name, input_shape=shape, classes=classes)(classifiers.random_images(3, shape))
    assert logits.shape == (3, classes) and not np.allclose(np.sum(logits, axis=1), 1)


@pytest.mark.parametrize("name", models.MODELS)
def test_saves_and_loads(name, tmp_path):
    mean = classifiers.random_images(1, (28, 28, 1))[0]
    model = models.build(name, mean=mean, std=1 / 255)
    images = classifiers.random_images(3, (28, 28, 1), seed=1)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(images), model(images))


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"'lnet'.*lenet, mlp"):
        models.build("lnet")


@shared.needs_golden
@shared.needs_data
def test_reference_lenet_classifies_mnist_as_in_the_paper():
    test = data.load("mnist", "test", data_dir=shared.DATA_DIR, download=False)
    predictions = shared.reference_lenet().predict(test.floats(), batch_size=500, verbose=0).argmax(axis=1)
    assert np.mean(predictions == test.labels) == 0.9902
