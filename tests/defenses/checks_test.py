"""What every defense refuses before it trains in vain, and the labels that it takes."""

import keras
import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import InputError
from tfrobust.defenses import TRADES, AdversarialTraining, DeepDefense

IMAGES = classifiers.random_images(12)
LABELS = np.arange(12) % 4
ONE_HOT = np.eye(4, dtype="float32")[LABELS]
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def adversarial_training(network):
    return AdversarialTraining(network, "fgsm(linf(0.05))", clean_share=0.5)


def deep_defense(network):
    return DeepDefense(network, lam=1.0, c=1.0, steps=1)


DEFENSES = [adversarial_training, deep_defense]


def compiled(defend, loss=SPARSE, network=None, eager=True):
    model = defend(network or classifiers.smooth_network())
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"], run_eagerly=eager)
    return model


@pytest.mark.parametrize("defend", DEFENSES)
def test_one_hot_labels_train_as_whole_numbers_do(defend):
    found = []
    for loss, labels in (
        (SPARSE, LABELS),
        (SPARSE, LABELS[:, None]),
        (keras.losses.CategoricalCrossentropy(from_logits=True), ONE_HOT),
    ):
        model = compiled(defend, loss)
        history = model.fit(IMAGES, labels, batch_size=6, epochs=1, shuffle=False, verbose=0).history
        found.append((history, model.network.get_weights()))
    for history, weights in found[1:]:
        for name, values in found[0][0].items():
            assert history[name] == pytest.approx(values, rel=1e-5), name
        for one, other in zip(weights, found[0][1]):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("defend, eager", [(adversarial_training, False), (deep_defense, True)])
def test_images_on_another_scale_are_refused(defend, eager):
    model = compiled(defend, eager=eager)
    with pytest.raises(InputError, match=r"images must lie in \[0, 1\]: divide pixels of 0 to 255 by 255"):
        model.fit(IMAGES * 255, LABELS, verbose=0)
    with pytest.raises(InputError, match="got uint8: divide them by 255"):
        model.fit((IMAGES * 255).astype("uint8"), LABELS, verbose=0)


@pytest.mark.parametrize("defend", DEFENSES)
def test_probabilities_are_refused(defend):
    softmax = keras.Sequential([classifiers.smooth_network(), keras.layers.Softmax()])
    with pytest.raises(InputError, match="gives probabilities"):
        compiled(defend, network=softmax).fit(IMAGES, LABELS, verbose=0)


def test_a_network_that_has_become_nan_is_not_taken_for_one_of_probabilities():
    network = classifiers.smooth_network()
    network.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
    history = compiled(adversarial_training, network=network).fit(IMAGES, LABELS, verbose=0).history
    assert np.isnan(history["loss"]).all()


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", keras.losses.CategoricalCrossentropy()])
def test_a_loss_that_expects_probabilities_is_refused(loss):
    with pytest.raises(InputError, match="expects probabilities, but the network gives logits"):
        compiled(adversarial_training, loss).fit(IMAGES, LABELS, verbose=0)


def deep_defense_of_a_layer(network):
    return DeepDefense(network, lam=1.0, c=1.0, steps=1, regularized_layers=["dense"])


def trades(network):
    return TRADES(network, "pgd(linf(0.05), steps=2)")


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
@pytest.mark.parametrize("defend", [adversarial_training, deep_defense_of_a_layer, trades])
def test_a_network_computes_in_any_precision(defend, dtype):
    layers = [keras.layers.Flatten(dtype=dtype), keras.layers.Dense(4, name="dense", dtype=dtype)]
    network = keras.Sequential([keras.Input(IMAGES.shape[1:]), *layers])
    before = network.get_weights()[0].astype("float64")
    history = compiled(defend, network=network).fit(IMAGES, LABELS, verbose=0).history
    assert np.isfinite(history["loss"]).all() and (network.get_weights()[0].astype("float64") != before).any()
