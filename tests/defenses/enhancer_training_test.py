"""Training of ACE's U-Net alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import InputError, defenses, models


def network():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Flatten(), keras.layers.BatchNormalization(), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((9, 8, 3)), *layers])


def compiled(plugged):
    training = defenses.EnhancerTraining(plugged)
    training.compile(keras.optimizers.Adam(2e-3), metrics=["accuracy"])
    return training


@pytest.fixture(scope="module")
def images():
    """Smooth ones, as an autoencoder can restore them."""
    waves = tf.image.resize(classifiers.random_images(40, (4, 4, 3), low=0, high=1), (9, 8), method="bicubic")
    return np.clip(waves, 0, 1)


def test_the_squared_error_falls_and_no_other_weight_changes(images):
    plugged = models.with_ace(network(), lam=0.9, form="unet")
    training, autoencoder = compiled(plugged), models.enhancer(plugged).autoencoder
    before = [weight.numpy() for weight in plugged.weights]
    own = {id(weight) for weight in autoencoder.trainable_variables}
    assert {id(weight) for weight in training.trainable_variables} == own  # the optimizer keeps nothing of the others
    error = np.mean((autoencoder.predict(images, verbose=0) - images) ** 2)
    labels = np.arange(40) % 3
    history = training.fit(images, labels, batch_size=8, epochs=4, validation_data=(images, labels), verbose=0).history
    assert set(history) == {"loss", "squared_error", "val_loss", "val_squared_error", "val_accuracy"}
    after = np.mean((autoencoder.predict(images, verbose=0) - images) ** 2)
    assert after < 0.9 * error and history["val_squared_error"][-1] == pytest.approx(after, rel=1e-4)
    accuracy = np.mean(plugged.predict(images, verbose=0).argmax(axis=1) == labels)
    assert history["val_accuracy"][-1] == pytest.approx(accuracy)
    for old, weight in zip(before, plugged.weights, strict=True):
        assert np.array_equal(old, weight) == (id(weight) not in own), weight.path


def test_a_network_without_a_u_net_is_refused():
    with pytest.raises(InputError, match="has no ACE module"):
        defenses.EnhancerTraining(network())
    with pytest.raises(InputError, match="the U-Net alone trains alone"):
        defenses.EnhancerTraining(models.with_ace(network()))
