"""What exporters load: networks that compute in float32."""

import keras
import numpy as np
import pytest

from export import network
from tests.support import classifiers
from tfrobust import InputError, models

IMAGES = classifiers.random_images(4, (32, 32, 3), low=0, high=1)


def small(dtype):
    """A masked network with batch normalization, another network inside, and a cast of its user's."""
    keras.utils.set_random_seed(0)
    policy, before = keras.dtype_policies.get(dtype), keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        network = models.build("resnet18", width=4, masks="shallow=0.5")
        images = keras.Input((32, 32, 3))
        return keras.Model(images, network(images))
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_becomes_float32_with_the_same_weights(dtype):
    mixed, plain = small(dtype), small("float32")
    assert {layer.compute_dtype for layer in mixed.layers[1].layers} == {dtype.removeprefix("mixed_")}
    plain.set_weights(mixed.get_weights())
    found = network.in_float32(mixed)
    np.testing.assert_allclose(found(IMAGES), plain(IMAGES), rtol=1e-5, atol=1e-6)
    assert np.abs(np.float32(mixed(IMAGES)) - plain(IMAGES)).max() > 1e-5  # the two can be told apart


def test_what_computes_in_float32_stays_the_model_it_is():
    model = small("float32")
    assert network.in_float32(model) is model


def test_a_network_that_gives_probabilities_is_refused(tmp_path):
    images = keras.Input((4, 4, 1))
    model = keras.Model(images, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(images)))
    model.save(tmp_path / "model.keras")
    with pytest.raises(InputError, match="probabilities"):
        network.load(tmp_path / "model.keras")
