"""Parseval training's step toward orthonormal columns."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tests.support.classifiers import compiled
from tfrobust import InputError
from tfrobust.defenses import Parseval, parseval

IMAGES = tf.constant(classifiers.random_images(12))
LABELS = tf.range(12) % 4


def network():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(8, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(4)]
    return keras.Sequential([keras.Input((6, 5, 3)), *layers])


def test_all_columns_take_the_papers_step():
    model = compiled(Parseval(network(), beta=0.01, share=1.0), rate=1e-9)
    before = [kernel.numpy().reshape(-1, kernel.shape[-1]) for kernel in parseval.kernels(model.network)]
    model.train_on_batch(IMAGES, LABELS)
    for kernel, old in zip(parseval.kernels(model.network), before, strict=True):
        expected = 1.01 * old - 0.01 * old @ old.T @ old
        np.testing.assert_allclose(kernel.numpy().reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)


def test_a_share_of_the_columns_moves_others_each_time():
    model, moved = compiled(Parseval(network(), beta=0.01, share=0.3), rate=1e-9), []
    for _ in range(8):
        before = model.network.layers[0].kernel.numpy()
        model.train_on_batch(IMAGES, LABELS)
        moved.append(np.abs(model.network.layers[0].kernel.numpy() - before).max(axis=(0, 1, 2)) > 1e-6)
    assert (np.sum(moved, axis=1) == 3).all()  # of 8
    assert np.any(moved, axis=0).all() and len({tuple(columns) for columns in moved}) > 3


def test_columns_become_orthonormal_while_it_trains():
    model = compiled(Parseval(network(), beta=0.02), rate=0.002, eager=False)
    found = [parseval.tightness(model.network)]
    for _ in range(4):
        losses = model.fit(IMAGES, LABELS, batch_size=4, epochs=30, verbose=0).history["loss"]
        found.append(parseval.tightness(model.network))
    assert (np.diff(found, axis=0) < 0).all()  # of each kernel, each time
    assert losses[-1] < losses[0]


def test_orthonormal_columns_stay():
    model = Parseval(network(), beta=0.1)
    for kernel in parseval.kernels(model.network):
        kernel.assign(np.linalg.qr(np.reshape(kernel, [-1, kernel.shape[-1]]))[0].reshape(kernel.shape))
    before = model.network.get_weights()
    model.tighten(3)
    for one, other in zip(before, model.network.get_weights()):
        np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(parseval.tightness(model.network), 0, atol=1e-5)


def test_it_can_be_saved(tmp_path):
    model = compiled(Parseval(network(), beta=0.01, share=0.5, seed=3), rate=1e-9, eager=False)
    model.fit(IMAGES, LABELS, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.beta, loaded.share, loaded.seed) == (0.01, 0.5, 3)
    assert loaded.evaluate(IMAGES, LABELS, verbose=0) == model.evaluate(IMAGES, LABELS, verbose=0)


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.5}, {"beta": -1.0}])
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(InputError, match=r"at least 0|at most 1"):
        Parseval(network(), **wrong)
