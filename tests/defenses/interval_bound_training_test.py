"""Interval bound training: its schedule, its loss, and that it makes a network whose answers can be proved."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import data
from tfrobust.defenses import IntervalBoundTraining
from tfrobust.errors import InputError
from tfrobust.layers import Standardize
from tfrobust.models import IntervalBounds

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
DIGITS = data.load("digits", "train").take(600)


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input([28, 28, 1]),
            Standardize(0.3, 1.0),
            keras.layers.Conv2D(6, 5, strides=3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


def fitted(model, **options):
    model.compile(keras.optimizers.Adam(0.005), LOSS, metrics=["accuracy"])
    return model.fit(DIGITS.floats(), DIGITS.labels, batch_size=50, verbose=0, **options)


def test_the_radius_grows_after_the_warm_up_and_validation_has_the_whole():
    model = IntervalBoundTraining(network(), 0.1, warm_up=10, ramp=20)
    model.compile(keras.optimizers.SGD(0.0), LOSS)
    found = []
    for step in (0, 10, 20, 30, 99):
        model.optimizer.iterations.assign(step)
        found.append(float(model.progress(training=True)))
    np.testing.assert_allclose(found, [0, 0, 0.5, 1, 1])
    assert model.progress(training=False) == 1.0


def test_the_loss_is_that_of_clean_and_worst_logits():
    model = IntervalBoundTraining(network(), 0.05, warm_up=0, ramp=10, clean_share=0.3)
    model.compile(keras.optimizers.SGD(0.0), LOSS)
    model.optimizer.iterations.assign(5)  # half of the ramp
    images, labels = DIGITS.floats()[:50], DIGITS.labels[:50]
    found = model.fit(images, labels, batch_size=50, verbose=0).history["loss"][0]
    margins = IntervalBounds(model.network).margins(images, labels, 0.025)
    share = 0.7 * 0.5
    expected = (1 - share) * LOSS(labels, model.network(images)) + share * LOSS(labels, margins)
    assert found == pytest.approx(float(expected), rel=1e-4)


def test_a_trained_network_can_be_certified_and_a_plain_one_cannot():
    plain = network()
    fitted(plain, epochs=6)
    model = IntervalBoundTraining(network(), 0.05, warm_up=12, ramp=60)
    history = fitted(model, epochs=20, validation_data=(DIGITS.floats(), DIGITS.labels)).history
    images, labels = DIGITS.floats(), DIGITS.labels
    certified = [
        tf.reduce_mean(tf.cast(IntervalBounds(one).certified(images, labels, 0.05), tf.float32))
        for one in (plain, model.network)
    ]
    assert certified[0] < 0.1 and certified[1] > 0.5
    assert history["val_certified_accuracy"][-1] == pytest.approx(float(certified[1]), abs=0.01)


def test_it_is_saved_with_its_settings(tmp_path):
    model = IntervalBoundTraining(network(), 0.05, warm_up=3, ramp=4, clean_share=0.2)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert (again.radius, again.warm_up, again.ramp, again.clean_share) == (0.05, 3, 4, 0.2)


@pytest.mark.parametrize(
    "wrong", [{"radius": 0.0}, {"radius": 2.0}, {"ramp": 0}, {"warm_up": -1}, {"clean_share": 1.0}]
)
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(InputError):
        IntervalBoundTraining(network(), **{"radius": 0.1, **wrong})


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "float64"])
def test_a_network_of_other_precision_is_trained(precision):
    keras.config.set_dtype_policy(precision)
    try:
        model = IntervalBoundTraining(network(), 0.05, warm_up=12, ramp=12)
    finally:
        keras.config.set_dtype_policy("float32")
    losses = fitted(model, epochs=6).history["loss"]
    assert losses[-1] < losses[2]  # since when the radius is the whole one
