"""The network that a configuration asks for."""

import keras
import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import InputError, data, models
from trainers import networks
from trainers.networks import NetworkConfig


def split(shape=(28, 28, 1), classes=10):
    return data.Split(classifiers.random_images(20, shape), np.arange(20) % classes, classes)


def test_a_new_network_subtracts_the_mean_image():
    train = split()
    network = networks.make_network(NetworkConfig("mlp"), train)
    np.testing.assert_allclose(network.get_layer("preprocessing").mean, train.mean_image(), rtol=1e-6)


def test_the_seed_decides_the_initial_weights():
    one, same, other = (
        networks.make_network(NetworkConfig("mlp"), split(), seed).get_weights()[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize("train", [split(classes=11), split(shape=(32, 32, 1))])
def test_a_network_that_does_not_fit_the_data_is_refused(tmp_path, train):
    path = tmp_path / "model.keras"
    networks.make_network(NetworkConfig("mlp"), split()).save(path)
    with pytest.raises(InputError, match=r"model\.keras"):
        networks.make_network(NetworkConfig("mlp", init_weights=str(path)), train)


def test_initial_weights_that_give_probabilities_are_refused(tmp_path):
    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    keras.Sequential(layers).save(tmp_path / "softmax.keras")
    with pytest.raises(InputError, match=r"softmax\.keras gives probabilities"):
        networks.make_network(NetworkConfig(init_weights=str(tmp_path / "softmax.keras")), split())


def test_ace_is_for_new_networks(tmp_path):
    path = tmp_path / "model.keras"
    networks.make_network(NetworkConfig("mlp"), split()).save(path)
    with pytest.raises(InputError, match=r"--ace trains a new network"):
        networks.make_network(NetworkConfig(init_weights=str(path), ace=1.0), split())


def test_quantization_aware_training_goes_on_with_a_trained_network_and_with_itself(tmp_path):
    train, path = split(), str(tmp_path / "model.keras")
    with pytest.raises(InputError, match=r"name it by --init_weights"):
        networks.make_network(NetworkConfig("mlp", quantization_aware=True), train)
    networks.make_network(NetworkConfig("mlp"), train).save(path)
    aware = networks.make_network(NetworkConfig("mlp", init_weights=path, quantization_aware=True), train)
    aware.save(path)
    again = networks.make_network(NetworkConfig("mlp", init_weights=path, quantization_aware=True), train)
    np.testing.assert_array_equal(again(train.floats()), aware(train.floats()))
    ensemble = NetworkConfig("mlp", init_weights=path, quantization_aware=True, members=2)
    assert models.is_aware(networks.make_network(ensemble, train))
