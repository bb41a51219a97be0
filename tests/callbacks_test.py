"""What is logged while a model trains."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import InputError, attacks, callbacks

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


def test_images_on_another_scale_are_refused():
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        callbacks.RobustAccuracy("fgsm(linf(0.05))", IMAGES * 255, LABELS)
