"""TRADES and MART beside their authors' code, and their terms on a network that is written out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers, shared
from tests.support.classifiers import compiled
from tfrobust import InputError
from tfrobust.attacks import Problem
from tfrobust.defenses import MART, TRADES, trades
from tfrobust.defenses.defense import Batch

ATTACK = "pgd(linf(0.1), steps=10, step_size=0.01)"
IMAGES = tf.constant(classifiers.random_images(12))
LABELS = tf.range(12) % 4


@pytest.fixture(scope="module")
def golden():
    return {**shared.golden("trades_mart_step"), **shared.golden("deep_defense_step")}


@pytest.fixture(scope="module")
def lenet():
    return shared.reference_lenet()


KINDS = [(TRADES, "trades"), (MART, "mart")]


@shared.needs_golden
@pytest.mark.parametrize("kind, name", KINDS)
def test_the_adversarial_images_are_those_of_the_authors_code(golden, lenet, kind, name):
    """But where the sign of a gradient is that of rounding errors.

    Such are those of probabilities near 1, and those of TRADES' divergence near its least, where it starts.
    """
    model = kind(lenet, ATTACK)
    images, labels = tf.constant(golden["images"]), golden["labels"]
    problem = Problem(lambda x: lenet(x, training=False), images, labels)
    made = model.solve_from(problem, images + 0.001 * golden["noise"]).numpy()
    same = (np.abs(made - golden[f"{name}_adversarial"]) < 1e-5).all(axis=(1, 2, 3))
    certain = tf.nn.softmax(lenet(images)).numpy().max(axis=1) > 1 - 1e-4
    assert same.sum() >= (60 if kind is TRADES else 75) and (kind is TRADES or same[~certain].all())
    assert np.abs(made - images).max() < 0.1 + 1e-6 and made.min() >= 0 and made.max() <= 1


@shared.needs_golden
@pytest.mark.parametrize("kind, name", KINDS)
def test_loss_and_gradients_are_those_of_the_authors_code(golden, lenet, kind, name):
    """At their adversarial images, each within 1e-3 of its norm."""
    model = compiled(kind(lenet, ATTACK, beta=float(golden["beta"])))
    batch = Batch(
        tf.constant(golden["images"]), tf.constant(golden["labels"]), None, tf.constant(golden[f"{name}_adversarial"])
    )
    with tf.GradientTape() as tape:
        found = model.losses_of(batch, training=True)
    np.testing.assert_allclose(found.loss, golden[f"{name}_loss"], rtol=1e-4)
    variables = {
        f"{layer}_{part}": getattr(lenet.get_layer(layer), part).value
        for layer in ("conv1", "conv2", "fc1", "fc2")
        for part in ("kernel", "bias")
    }
    for variable, gradient in tape.gradient(found.loss, variables).items():
        expected = golden[f"{name}_grad_{variable}"]
        assert np.linalg.norm(gradient - expected) < 1e-3 * np.linalg.norm(expected), variable


@pytest.mark.parametrize("kind", [TRADES, MART])
def test_weights_of_examples_count_as_examples_do(kind):
    """An example that weighs 2 and one that weighs nothing are one example twice."""
    model = compiled(kind(classifiers.smooth_network(), "pgd(linf(0.05), steps=2)", beta=2.0))
    twice = tf.concat([IMAGES[:6], IMAGES[:6]], axis=0)
    one = model.losses_of(Batch(IMAGES, LABELS, tf.constant([2.0] * 6 + [0.0] * 6), IMAGES * 0.9), True).loss
    labels = tf.concat([LABELS[:6], LABELS[:6]], axis=0)
    two = model.losses_of(Batch(twice, labels, None, twice * 0.9), True).loss
    np.testing.assert_allclose(one, two, rtol=1e-6)


def test_trades_makes_what_the_network_says_differ_and_mart_what_it_says_wrong():
    network = classifiers.smooth_network()
    labels = np.argmax(network(IMAGES), axis=1)
    attack = "pgd(linf(0.05), steps=5, step_size=0.02)"
    for model in (TRADES(network, attack), MART(network, attack)):
        made = model.adversarial(IMAGES, labels)
        noisy = np.clip(IMAGES + 0.05 * np.sign(np.random.default_rng(0).normal(size=IMAGES.shape)), 0, 1)
        divergence = [float(tf.reduce_mean(trades.divergence_of(network(IMAGES), network(x)))) for x in (made, noisy)]
        assert divergence[0] > 2 * divergence[1] > 0
        assert (np.argmax(network(made), axis=1) != labels).mean() > 0.2
    np.testing.assert_allclose(trades.divergence_of(network(IMAGES), network(IMAGES)), 0, atol=1e-6)


@pytest.mark.parametrize("kind", [TRADES, MART])
def test_it_can_be_saved_and_trained_on(tmp_path, kind):
    model = compiled(kind(classifiers.smooth_network(), "pgd(linf(0.05), steps=2)", beta=3.0, seed=1))
    model.fit(IMAGES, LABELS, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.beta, loaded.seed, loaded.attack) == (3.0, 1, "pgd(linf(0.05), steps=2)")
    assert loaded.evaluate(IMAGES, LABELS, verbose=0) == model.evaluate(IMAGES, LABELS, verbose=0)


@pytest.mark.parametrize(
    "wrong, said", [({"attack": "deepfool()"}, "trained with pgd"), ({"beta": -1.0}, "at least 0")]
)
def test_senseless_settings_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        TRADES(classifiers.smooth_network(), **{"attack": ATTACK, **wrong})
