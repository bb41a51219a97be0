"""Adversarial training's step against one written out, its draws, and what it does to a network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tests.support.classifiers import compiled
from tfrobust import InputError, attacks, balls, data, models
from tfrobust.defenses import AdversarialTraining, attacking

IMAGES = tf.constant(classifiers.random_images(12))
LABELS = tf.range(12) % 4
RANDOM = "pgd(linf(0.1), steps=1, step_size=0.001)"  # nearly the random start


def network_with_state():
    """With batch normalization, whose statistics are not those of the data, and weight decay."""
    keras.utils.set_random_seed(3)
    images = keras.Input((6, 5, 3))
    x = keras.layers.Conv2D(8, 3, kernel_regularizer=keras.regularizers.L2(0.05))(images)
    x = keras.layers.BatchNormalization(moving_mean_initializer="ones")(x)
    return keras.Model(images, keras.layers.Dense(4)(keras.layers.Flatten()(x)))


def cross_entropy(logits, sample_weight):
    values = tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits)
    return tf.reduce_mean(values if sample_weight is None else values * sample_weight)


def test_a_linear_network_is_trained_on_the_images_that_the_closed_form_gives():
    """FGSM moves each pixel by the radius toward the other class: against the sign of the difference of weights."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((6, 5, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    toward_1 = np.diff(network.layers[-1].kernel.numpy(), axis=1).reshape(6, 5, 3)
    labels = np.arange(12) % 2
    found = AdversarialTraining(network, "fgsm(linf(0.1))").adversarial(IMAGES, labels)
    signs = np.where(labels == 0, 1, -1)[:, None, None, None]
    np.testing.assert_allclose(found, IMAGES + 0.1 * signs * np.sign(toward_1), atol=1e-6)


@pytest.mark.parametrize("sample_weight", [None, np.linspace(0, 2, 12).astype("float32")])
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_one_step_is_the_step_written_out(share, sample_weight):
    """Loss, weights and statistics. Weight decay counts once, and the attack is on the network at inference."""
    network, other = network_with_state(), network_with_state()
    model = compiled(AdversarialTraining(network, "fgsm(linf(0.05))", clean_share=share))
    with tf.GradientTape() as tape:
        tape.watch(IMAGES)
        loss = cross_entropy(other(IMAGES, training=False), None)
    adversarial = IMAGES + 0.05 * tf.sign(tape.gradient(loss, IMAGES))
    with tf.GradientTape() as tape:
        if share:
            logits = other(tf.concat([IMAGES, adversarial], axis=0), training=True)
            loss = share * cross_entropy(logits[:12], sample_weight)
            loss += (1 - share) * cross_entropy(logits[12:], sample_weight)
        else:
            loss = cross_entropy(other(adversarial, training=True), sample_weight)
        loss += other.losses[0]
    for variable, gradient in zip(other.trainable_variables, tape.gradient(loss, other.trainable_variables)):
        variable.assign_sub(0.1 * gradient)
    logs = model.train_on_batch(IMAGES, LABELS, sample_weight, return_dict=True)
    np.testing.assert_allclose(logs["loss"], loss, rtol=1e-5)
    for found, expected in zip(network.get_weights(), other.get_weights()):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_scaled_loss_gives_the_same_step():
    """As in mixed precision, where Keras puts a LossScaleOptimizer around the optimizer."""
    plain, scaled = (compiled(AdversarialTraining(classifiers.smooth_network(), "fgsm(linf(0.1))")) for _ in range(2))
    scaled.optimizer = keras.optimizers.LossScaleOptimizer(scaled.optimizer)
    losses = [model.train_on_batch(IMAGES, LABELS, return_dict=True)["loss"] for model in (plain, scaled)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    for one, other in zip(plain.get_weights(), scaled.network.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("attack", ["fgsm(linf(0.1))", "apgd_targeted(linf(0.1), steps=3)"])
def test_misclassified_images_are_attacked_too(attack):
    """Where an evaluation returns them unchanged."""
    model = AdversarialTraining(classifiers.smooth_network(), attack)
    labels = (np.argmax(model(IMAGES), axis=1) + np.arange(12) % 2) % 4  # every other one is misclassified
    moved = np.abs(model.adversarial(IMAGES, labels) - IMAGES).max(axis=(1, 2, 3))
    assert (moved[1::2] > 0).all()


def test_draws_follow_the_image_and_the_step_alone():
    """Whatever the order and the batch; each step, image and seed has draws of its own."""
    model = AdversarialTraining(classifiers.smooth_network(), RANDOM)
    delta = model.adversarial(IMAGES, LABELS, step=5) - IMAGES
    shuffled = tf.range(11, 3, -2)
    some, their_labels = tf.gather(IMAGES, shuffled), tf.gather(LABELS, shuffled)
    np.testing.assert_allclose(
        model.adversarial(some, their_labels, step=5) - some, tf.gather(delta, shuffled), atol=1e-6
    )
    reseeded = AdversarialTraining(model.network, RANDOM, seed=1)
    others = [model.adversarial(IMAGES, LABELS, step=6), reseeded.adversarial(IMAGES, LABELS, step=5)]
    draws = tf.reshape(tf.concat([delta, *(other - IMAGES for other in others)], axis=0), [36, -1])
    correlation = np.corrcoef(draws) - np.eye(36)
    assert np.abs(correlation).max() < 6 / np.sqrt(90)  # 90 pixels: six standard deviations, of 630 pairs


def test_each_training_step_attacks_with_new_draws_and_each_validation_with_the_same():
    model = compiled(AdversarialTraining(classifiers.smooth_network(), RANDOM), rate=1e-9, eager=False)
    one, two = (model.train_on_batch(IMAGES, LABELS, return_dict=True)["loss"] for _ in range(2))
    assert abs(one - two) > 1e-5
    assert model.evaluate(IMAGES, LABELS, verbose=0) == model.evaluate(IMAGES, LABELS, verbose=0)


def test_content_tells_images_apart():
    """1,797 digits, all one-pixel changes of an image, and images of black and white alone: no two agree."""
    digits = np.concatenate([data.load("digits", split).floats() for split in ("train", "test")])
    pixels = np.eye(784, dtype="float32").reshape(784, 28, 28, 1)
    for images in (digits, digits[:1] * (1 - pixels) + pixels / 3, pixels, (digits > 0.5).astype("float32")):
        assert len(np.unique(attacking.content(images))) == len(np.unique(images, axis=0))


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_reports_clean_and_robust_accuracy(share):
    network = classifiers.smooth_network()
    labels = (np.argmax(network(IMAGES), axis=1) + (np.arange(12) % 3 == 0)) % 4  # a third is misclassified
    model = compiled(AdversarialTraining(network, "fgsm(linf(0.1))", clean_share=share))
    logs = model.evaluate(IMAGES, labels, verbose=0, return_dict=True)
    clean, robust = (network(images) for images in (IMAGES, model.adversarial(IMAGES, labels)))
    accuracies = [np.mean(np.argmax(logits, axis=1) == labels) for logits in (clean, robust)]
    np.testing.assert_allclose([logs["accuracy"], logs["robust_accuracy"]], accuracies, rtol=1e-6)
    assert accuracies[0] > accuracies[1]
    expected = share * model.loss(labels, clean) + (1 - share) * model.loss(labels, robust)
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)


@pytest.fixture(scope="module")
def plain():
    """An MLP trained plainly on digits, its weights, a judge of it, and what that one says of it."""
    train, test = data.load("digits", "train"), data.load("digits", "test")
    keras.utils.set_random_seed(0)
    network = models.mlp(mean=train.mean_image())
    compiled(network, 0.01, eager=False).fit(train.floats(), train.labels, batch_size=50, epochs=10, verbose=0)
    robust = compiled(AdversarialTraining(network, "pgd(linf(0.1), steps=5)"), eager=False)

    def judged():
        return robust.evaluate(test.floats(), test.labels, batch_size=len(test.labels), verbose=0, return_dict=True)

    return network, network.get_weights(), judged, judged()


@pytest.mark.parametrize("attack, share", [("pgd(linf(0.1), steps=5)", 0.0), ("fgsm(linf(0.1))", 0.5)])
def test_training_makes_digits_robust(plain, attack, share):
    """Against five steps of PGD a plainly trained MLP keeps 8 % of the test images, these keep 53 and 56 %."""
    network, weights, judged, before = plain
    network.set_weights(weights)
    keras.utils.set_random_seed(0)
    train = data.load("digits", "train")
    model = compiled(AdversarialTraining(network, attack, share), 0.01, eager=False)
    model.fit(train.floats(), train.labels, batch_size=50, epochs=4, verbose=0)
    after = judged()
    assert after["robust_accuracy"] > before["robust_accuracy"] + 0.3 and after["accuracy"] > 0.8


def test_survives_saving_and_configuration(tmp_path):
    model = compiled(AdversarialTraining(network_with_state(), RANDOM, clean_share=0.5, seed=7))
    model.fit(IMAGES, LABELS, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.attack, loaded.clean_share, loaded.seed) == (RANDOM, 0.5, 7)
    assert loaded.evaluate(IMAGES, LABELS, verbose=0) == model.evaluate(IMAGES, LABELS, verbose=0)
    again = AdversarialTraining.from_config(model.get_config())
    assert again.run_attack == model.run_attack


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda network: AdversarialTraining(network, "fgsm(linf(0.1))", clean_share=1), r"in \[0, 1\); got 1"),
        (lambda network: AdversarialTraining(network, "fgsm(linf(0.1)"), "does not parse"),
        (lambda network: AdversarialTraining(network, attacks.fgsm(balls.L2(1.0))).get_config(), "attack as text"),
    ],
)
def test_senseless_settings_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong(classifiers.smooth_network())
