"""What a defense gets for stating its losses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust.defenses.defense import Defense, Losses, scaled

IMAGES = tf.constant(classifiers.random_images(12))
LABELS = np.arange(12) % 4
WEIGHTS = np.linspace(0, 2, 12).astype("float32")


@keras.saving.register_keras_serializable(package="tests")
class Flattened(Defense):
    """Cross-entropy, and `factor` times the mean square of the logits."""

    def __init__(self, network, factor=0.0, **kwargs):
        super().__init__(network, {"factor": factor}, [keras.metrics.Mean("square")], **kwargs)
        self.factor = factor

    def losses_of(self, batch, training):
        logits = self(batch.images, training=training)
        square = tf.reduce_mean(tf.square(logits), axis=1)
        loss = self.compute_loss(batch.images, batch.labels, logits, batch.sample_weight)
        return Losses(loss + self.factor * scaled(tf.reduce_mean(square)), logits, {"square": (square,)})


def network():
    keras.utils.set_random_seed(3)
    images = keras.Input((6, 5, 3))
    x = keras.layers.Conv2D(8, 3, kernel_regularizer=keras.regularizers.L2(0.05))(images)
    x = keras.layers.Flatten()(keras.layers.BatchNormalization()(x))
    return keras.Model(images, keras.layers.Dense(4)(x))


def compiled(model, eager=True):
    """Eager where a step or two are taken: tracing takes longer than they do."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weighted = keras.metrics.SparseCategoricalAccuracy("weighted")
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, loss, metrics=["accuracy"], weighted_metrics=[weighted], run_eagerly=eager)
    return model


@pytest.mark.parametrize("sample_weight", [None, WEIGHTS])
def test_without_a_loss_of_its_own_a_step_is_that_of_keras(sample_weight):
    """Weights, statistics and what is reported, weight decay and sample weights included."""
    plain, model = compiled(network()), compiled(Flattened(network()))
    for _ in range(2):
        expected = plain.train_on_batch(IMAGES, LABELS, sample_weight, return_dict=True)
        found = model.train_on_batch(IMAGES, LABELS, sample_weight, return_dict=True)
    assert set(found) == {*expected, "square"}
    np.testing.assert_allclose([found[name] for name in expected], [*expected.values()], rtol=1e-5)
    for one, other in zip(plain.get_weights(), model.network.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    validation = [one.evaluate(IMAGES, LABELS, verbose=0, return_dict=True) for one in (plain, model)]
    np.testing.assert_allclose(validation[1]["loss"], validation[0]["loss"], rtol=1e-5)


def test_its_own_loss_is_minimized_and_reported():
    model = compiled(Flattened(network(), factor=10.0), eager=False)
    before = model.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)
    logits = model(IMAGES, training=False)
    np.testing.assert_allclose(before["square"], np.mean(np.square(logits)), rtol=1e-5)
    decay = float(model.network.losses[0])
    expected = model.loss(LABELS, logits) + decay + 10.0 * before["square"]
    np.testing.assert_allclose(before["loss"], expected, rtol=1e-5)
    model.optimizer.learning_rate = 0.001
    model.fit(IMAGES, LABELS, epochs=20, verbose=0)
    assert model.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)["square"] < before["square"]


def test_its_configuration_is_that_of_its_arguments(tmp_path):
    model = compiled(Flattened(network(), factor=2.0))
    model.fit(IMAGES, LABELS, verbose=0)
    config = model.get_config()
    again = Flattened.from_config(config)
    assert again.factor == 2.0 and again.network is not model.network and "network" in config
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.factor == 2.0
    assert loaded.evaluate(IMAGES, LABELS, verbose=0) == model.evaluate(IMAGES, LABELS, verbose=0)


def test_a_defense_without_losses_is_no_defense():
    with pytest.raises(TypeError, match="losses_of"):
        Defense(network(), settings={})
