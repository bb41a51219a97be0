"""What is logged while a model trains."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import InputError, attacks, callbacks, defenses
from tfrobust.evaluation import metrics

IMAGES = classifiers.random_images(20)
LABELS = np.arange(20) % 4


def test_robust_accuracy_is_in_the_history_and_for_the_callbacks_after_it(tmp_path):
    model = classifiers.smooth_network()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    seen = []
    after = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["robust_accuracy"]))
    watch = callbacks.RobustAccuracy("fgsm(linf(0.05))", IMAGES, LABELS, batch_size=8)
    board = keras.callbacks.TensorBoard(tmp_path)
    history = model.fit(IMAGES, LABELS, epochs=2, verbose=0, callbacks=[watch, after, board]).history
    adversarial = attacks.parse("fgsm(linf(0.05))")(model, IMAGES, LABELS, seed=0)
    assert history["robust_accuracy"] == seen
    assert seen[-1] == pytest.approx((model(adversarial).numpy().argmax(axis=1) == LABELS).mean())
    tags = [
        value.tag
        for path in tmp_path.rglob("events*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    ]
    assert "epoch_robust_accuracy" in tags


def test_an_epoch_is_a_line_with_the_validations_numbers_in_parentheses(capsys):
    model = classifiers.smooth_network()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    more = {f"measure_{number}": float(number) for number in range(9)}
    measure = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(more, val_only=0.5) if epoch else None
    )
    options = {"validation_data": (IMAGES, LABELS), "verbose": 0, "callbacks": [measure, callbacks.EpochLines()]}
    history = model.fit(IMAGES, LABELS, epochs=2, **options).history
    first, *second = capsys.readouterr().out.splitlines()
    loss, of_validation = history["loss"][0], history["val_loss"][0]
    assert first.startswith("Epoch 1/2: ") and f"loss {loss:.4g} ({of_validation:.4g})" in first
    assert second[0].startswith("Epoch 2/2: ") and len(second) == 2 and max(map(len, second)) <= 100
    assert "measure_8 8" in " ".join(second) and "val_only 0.5" in " ".join(second)


def test_images_on_another_scale_are_refused():
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        callbacks.RobustAccuracy("fgsm(linf(0.05))", IMAGES * 255, LABELS)


def test_perturbations_are_those_of_the_network_as_it_is_after_each_epoch():
    network = classifiers.smooth_network()
    model = classifiers.compiled(defenses.AdversarialTraining(network, "fgsm(linf(0.05))"))
    watch = callbacks.Perturbations(IMAGES, LABELS, steps=10)
    history = model.fit(IMAGES, LABELS, epochs=2, verbose=0, callbacks=[watch]).history
    rho_2, l2 = metrics.deepfool_rho_2(lambda x: network(x, training=False), IMAGES, LABELS, steps=10)
    assert history["rho_2"][-1] == pytest.approx(rho_2.mean(), rel=1e-5)
    assert history["l2"][-1] == pytest.approx(l2.mean(), rel=1e-5) and history["l2"][0] != history["l2"][1]


class Collapse(keras.callbacks.Callback):
    """Turns the network into one that an attack breaks, in its third epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            self.model.set_weights([-weights for weights in self.model.get_weights()])


def test_a_training_that_collapses_is_stopped_and_its_weights_put_back(capsys):
    network = classifiers.smooth_network()
    images = classifiers.random_images(40)
    labels = network.predict(images, verbose=0).argmax(axis=1)
    network.compile(keras.optimizers.SGD(1e-6), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = network.get_weights()
    check = callbacks.CatastrophicOverfitting("pgd(linf(0.001), steps=2)", images, labels)
    history = network.fit(images, labels, epochs=5, verbose=0, callbacks=[Collapse(), check]).history
    found = history["checked_robust_accuracy"]
    assert len(found) == 3 and found[1] > 0.9 and found[2] < 0.7
    for one, other in zip(network.get_weights(), before):
        np.testing.assert_allclose(one, other, atol=1e-3)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "epoch 3: the accuracy under pgd(linf(0.001), steps=2) fell from" in line
    epochs = [{"checked_robust_accuracy": value} for value in found]
    assert callbacks.CatastrophicOverfitting.in_history(epochs)
    assert not callbacks.CatastrophicOverfitting.in_history(epochs[:2])
    assert not callbacks.CatastrophicOverfitting.in_history([{"loss": 1.0}, {"loss": 2.0}])
