"""Free and fast adversarial training beside the steps written out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tests.support.classifiers import compiled
from tfrobust import InputError, balls
from tfrobust.defenses import FastAdversarialTraining, FreeAdversarialTraining

IMAGES = tf.constant(classifiers.random_images(12))
LABELS = tf.range(12) % 4


@pytest.mark.parametrize("ball", [balls.Linf(0.03), balls.L2(0.3)])
def test_free_training_moves_weights_and_images_by_one_backward_pass(ball):
    """Two batches of three replays: what images were moved by goes on to the next replay and the next batch."""
    network, other = classifiers.smooth_network(), classifiers.smooth_network()
    other.set_weights(network.get_weights())
    model, moved = compiled(FreeAdversarialTraining(network, ball, replays=3)), tf.zeros_like(IMAGES[:6])
    for images, labels in ((IMAGES[:6], LABELS[:6]), (IMAGES[6:], LABELS[6:])):
        model.train_on_batch(images, labels)
        for _ in range(3):
            shown = tf.clip_by_value(images + moved, 0, 1)
            with tf.GradientTape() as tape:
                tape.watch(shown)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, other(shown, training=True))
                loss = tf.reduce_mean(losses)
            *slopes, ascent = tape.gradient(loss, [*other.trainable_variables, shown])
            for variable, slope in zip(other.trainable_variables, slopes):
                variable.assign_sub(0.1 * slope)
            moved = ball.project(moved + ball.radius * type(ball).steepest(ascent))
    for found, expected in zip(network.get_weights(), other.get_weights()):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert model.optimizer.iterations == 6 == 2 * model.updates_per_step


def test_free_training_takes_a_last_batch_that_is_smaller():
    model = compiled(FreeAdversarialTraining(classifiers.smooth_network(), "linf(0.03)", replays=2), eager=False)
    history = model.fit(IMAGES, LABELS, batch_size=8, validation_data=(IMAGES, LABELS), verbose=0).history
    assert {"loss", "robust_accuracy", "val_accuracy", "val_robust_accuracy"} <= history.keys()
    assert "accuracy" not in history  # clean images are not classified in training


def test_fast_training_steps_beyond_the_ball_from_a_random_start():
    model = compiled(FastAdversarialTraining(classifiers.smooth_network(), "linf(0.04)"))
    delta = np.abs(model.adversarial(IMAGES, LABELS, step=1) - IMAGES)
    assert delta.max() < 0.04 + 1e-6 and model.run_attack.step_size == pytest.approx(0.05)
    inside = (IMAGES > 0.04) & (IMAGES < 0.96)
    at_the_edge = (delta[inside] > 0.04 - 1e-6).mean()
    assert 0.5 < at_the_edge < 0.75  # a uniform start and 1.25 radii more: five of eight arrive there
    logs = model.train_on_batch(IMAGES, LABELS, return_dict=True)
    assert {"loss", "robust_accuracy"} <= logs.keys()


@pytest.mark.parametrize(
    "kind, more", [(FreeAdversarialTraining, {"replays": 3}), (FastAdversarialTraining, {"step_size": 1.0})]
)
def test_it_can_be_saved_and_trained_on(tmp_path, kind, more):
    model = compiled(kind(classifiers.smooth_network(), "linf(0.05)", seed=2, **more))
    model.fit(IMAGES, LABELS, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.seed == 2 and loaded.run_attack == model.run_attack
    assert all(loaded.get_config()[name] == value for name, value in more.items())
    assert loaded.evaluate(IMAGES, LABELS, verbose=0) == model.evaluate(IMAGES, LABELS, verbose=0)
    loaded.fit(IMAGES, LABELS, verbose=0)


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda network: FreeAdversarialTraining(network, "linf(0.1)", replays=0), "at least 1; got 0"),
        (lambda network: FreeAdversarialTraining(network, "fgsm(linf(0.1))"), "expected a ball"),
        (lambda network: FastAdversarialTraining(network, "ball(3)"), "unknown name"),
    ],
)
def test_senseless_settings_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong(classifiers.smooth_network())
