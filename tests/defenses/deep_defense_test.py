"""Deep Defense's training step against the authors' numbers, and as a Keras model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers, shared
from tfrobust import InputError
from tfrobust.defenses import DeepDefense
from tfrobust.defenses.defense import Batch
from tfrobust.layers import DropBlock, FixedMask, Standardize

LAYERS = ("conv1", "conv2", "fc1", "fc2")


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@shared.needs_golden
def test_one_batch_gives_the_authors_losses_and_gradients():
    """80 images classified correctly and 20 misclassified; their regularizer includes lam = 15."""
    expected = shared.golden("deep_defense_step")
    model = DeepDefense(shared.reference_lenet())
    images, labels = tf.constant(expected["images"]), tf.constant(expected["labels"])

    @tf.function(autograph=False)
    def losses_and_gradients():
        with tf.GradientTape(persistent=True) as tape:
            penalty, rho_2, logits = model.perturbation_penalty(images, labels)
            cross_entropy = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            regularizer = model.lam * tf.reduce_mean(penalty)
        variables = model.trainable_variables
        return (
            rho_2,
            cross_entropy,
            regularizer,
            tape.gradient(cross_entropy, variables),
            tape.gradient(regularizer, variables),
        )

    rho_2, cross_entropy, regularizer, *gradients = losses_and_gradients()
    np.testing.assert_allclose(rho_2, expected["rho_2"], rtol=1e-3)
    np.testing.assert_allclose(cross_entropy, expected["cross_entropy"], rtol=1e-4)
    np.testing.assert_allclose(regularizer, expected["regularizer"], rtol=1e-3)
    for part, found in zip(("ce", "reg"), gradients):
        for variable, gradient in zip(model.trainable_variables, found):
            layer, kind = variable.path.split("/")[-2:]
            assert relative_error(gradient.numpy(), expected[f"{part}_grad_{layer}_{kind}"]) < 1e-3, variable.path


def small_model(eager=True, **arguments):
    """Eager where a step or two are taken: tracing takes longer than they do."""
    network = classifiers.smooth_network()
    model = DeepDefense(network, **arguments)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-2), loss, metrics=["accuracy"], run_eagerly=eager)
    images = tf.constant(classifiers.random_images(40))
    labels = np.argmax(network(images), axis=1)
    labels[::5] = (labels[::5] + 1) % 4  # a fifth is misclassified
    return model, images, labels


def test_training_step_follows_the_gradient_of_the_whole_objective():
    """An SGD step moves the weights by -rate * gradient of CE + lam R; the slope along it is checked by differences."""
    model, images, labels = small_model(lam=2.0, c=3.0, d=2.0)
    start = [variable.numpy() for variable in model.trainable_variables]

    def objective(weights):
        for variable, weight in zip(model.trainable_variables, weights):
            variable.assign(weight)
        penalty, _, logits = model.perturbation_penalty(images, labels)
        cross_entropy = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        return float(cross_entropy + 2.0 * tf.reduce_mean(penalty))

    at_start = objective(start)
    loss = model.train_on_batch(images, labels, return_dict=True)["loss"]
    np.testing.assert_allclose(loss, at_start, rtol=1e-5)
    gradient = [(old - variable.numpy()) / 1e-2 for old, variable in zip(start, model.trainable_variables)]
    step = 1e-4
    above = objective([old + step * slope for old, slope in zip(start, gradient)])
    below = objective([old - step * slope for old, slope in zip(start, gradient)])
    squared_length = sum(float(np.sum(slope**2)) for slope in gradient)
    np.testing.assert_allclose((above - below) / (2 * step), squared_length, rtol=0.02)


def test_a_scaled_loss_gives_the_same_step():
    """As in mixed precision, where Keras puts a LossScaleOptimizer around the optimizer."""
    (plain, images, labels), (scaled, *_) = small_model(lam=2.0), small_model(lam=2.0)
    scaled.optimizer = keras.optimizers.LossScaleOptimizer(scaled.optimizer)
    losses = [model.train_on_batch(images, labels, return_dict=True)["loss"] for model in (plain, scaled)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    for one, other in zip(plain.network.get_weights(), scaled.network.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_penalty_rewards_distance_where_correct_and_nearness_where_misclassified():
    model, images, labels = small_model(c=3.0, d=2.0)
    penalty, rho_2, logits = model.perturbation_penalty(images, labels)
    correct = np.argmax(logits, axis=1) == labels
    assert 0 < correct.sum() < len(correct)
    np.testing.assert_allclose(penalty, np.exp(np.where(correct, -3.0, 2.0) * rho_2), rtol=1e-5)


def test_rho_is_measured_from_the_origin_of_the_preprocessing():
    network = classifiers.smooth_network()
    shifted = keras.Sequential([keras.Input((6, 5, 3)), Standardize(0.25, 1.0), *network.layers])
    images, labels = tf.constant(classifiers.random_images(4, high=0.7)), np.zeros(4, "int32")
    _, rho_2, _ = DeepDefense(shifted).perturbation_penalty(images + 0.25, labels)
    _, expected, _ = DeepDefense(network).perturbation_penalty(images, labels)
    np.testing.assert_allclose(rho_2, expected, rtol=1e-3)


def test_fine_tuning_raises_rho_2():
    model, images, labels = small_model(eager=False, lam=1.0, c=5.0)
    labels = np.argmax(model(images), axis=1)
    before = model.evaluate(images, labels, verbose=0, return_dict=True)
    model.fit(images, labels, batch_size=20, epochs=20, verbose=0)
    after = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert after["rho_2"] > 1.1 * before["rho_2"] and after["accuracy"] >= 0.8
    assert set(after) == {"loss", "cross_entropy", "regularizer", "rho_2", "accuracy"}


def test_batch_normalization_learns_its_statistics_and_is_attacked_with_them():
    keras.utils.set_random_seed(0)
    normalization = keras.layers.BatchNormalization()
    network = keras.Sequential([keras.Input((4, 4, 1)), normalization, keras.layers.Flatten(), keras.layers.Dense(3)])
    images, labels = tf.constant(classifiers.random_images(16, (4, 4, 1))), np.arange(16) % 3
    model = DeepDefense(network)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3), loss, run_eagerly=True)
    _, _, logits = model.perturbation_penalty(images, labels)
    np.testing.assert_allclose(logits, network(images, training=False), rtol=1e-5)
    mean = normalization.moving_mean.numpy()
    model.train_on_batch(images, labels)
    assert not np.array_equal(mean, normalization.moving_mean.numpy())


class Hidden(keras.layers.Layer):
    """A layer without a `training` argument around one that has it: Keras passes it on."""

    def __init__(self, inside):
        super().__init__()
        self.parts = [inside]

    def call(self, inputs):
        return self.parts[0](inputs)


def sequential(*layers):
    return keras.Sequential([keras.Input((4, 4, 1)), *layers, keras.layers.Flatten(), keras.layers.Dense(3)])


@pytest.mark.parametrize(
    "layer, differs",
    [
        (lambda: FixedMask(0.5, seed=0), False),
        (lambda: keras.layers.Conv2D(2, 3, activation="relu"), False),
        (lambda: Hidden(FixedMask(0.5, seed=0)), False),
        (lambda: keras.layers.Dropout(0.5), True),
        (lambda: DropBlock(0.5, block_size=2), True),
        (lambda: keras.layers.GaussianNoise(0.1), True),
        (keras.layers.BatchNormalization, True),
        (lambda: sequential(keras.layers.Dropout(0.5)), True),
        (lambda: Hidden(keras.layers.Dropout(0.5)), True),
    ],
)
def test_training_goes_through_the_network_in_training_mode_only_where_that_differs(layer, differs, monkeypatch):
    """A mask is a variable, but no reason."""
    part = layer()
    network = part if isinstance(part, keras.Model) else sequential(part)
    model, modes = DeepDefense(network, steps=1), []
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def call(inputs, training=None, mask=None, call=network.call):
        modes.append(training)
        return call(inputs, training=training, mask=mask)

    monkeypatch.setattr(network, "call", call)
    images = tf.constant(classifiers.random_images(2, (4, 4, 1)))
    for training, expected in ((True, {True, False} if differs else {False}), (False, {False})):
        modes.clear()
        model.losses_of(Batch(images, tf.constant([0, 1]), sample_weight=None), training)
        assert set(modes) == expected


def test_saves_and_loads(tmp_path):
    model, images, labels = small_model(lam=2.0)
    model.fit(images, labels, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.lam == 2.0
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))
    model.network.save(tmp_path / "network.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "network.keras")(images), model(images))


def gradients_of(model, images, labels, attacked=None):
    """Of the losses with respect to each weight, by its layer's name and its own."""
    batch = Batch(images, labels, sample_weight=None, adversarial=attacked)
    with tf.GradientTape() as tape:
        found = model.losses_of(batch, training=True)
    variables = {
        (layer.name, one.name): one.value for layer in model.network.layers for one in layer.trainable_variables
    }
    return found, tape.gradient(found.loss, variables)


def test_the_regularizer_of_one_layer_changes_no_other():
    """There the gradient is the whole one's; elsewhere that of the cross-entropy alone."""
    whole, images, labels = small_model(lam=2.0)
    name = whole.network.layers[-1].name
    part = DeepDefense(whole.network, lam=2.0, regularized_layers=[name])
    plain = DeepDefense(whole.network, lam=0.0)
    for model in (part, plain):
        model.compile("sgd", whole.loss)
    (found, all_of), (of_part, kept), (_, without) = (
        gradients_of(model, images, labels) for model in (whole, part, plain)
    )
    np.testing.assert_allclose(found.loss, of_part.loss, rtol=1e-6)
    for where, gradient in kept.items():
        expected = all_of[where] if where[0] == name else without[where]
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(all_of[name, "kernel"] - without[name, "kernel"]).max() > 1e-3


def test_an_added_attack_adds_the_cross_entropy_of_its_images():
    plain, images, labels = small_model(lam=2.0)
    both = DeepDefense(plain.network, lam=2.0, attack="fgsm(linf(0.1))")
    both.compile("sgd", plain.loss, metrics=["accuracy"])
    batch = both.attacked(Batch(tf.constant(images), labels, None), training=False)
    added = plain.loss(labels, plain.network(batch.adversarial))
    assert 0.01 < np.abs(batch.adversarial - images).max() < 0.1 + 1e-6
    losses = [model.losses_of(batch, training=True) for model in (plain, both)]
    np.testing.assert_allclose(losses[1].loss, losses[0].loss + added, rtol=1e-5)
    logs = both.evaluate(images, labels, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["adversarial_cross_entropy"], added, rtol=1e-5)


def test_a_layer_that_is_not_there_is_refused():
    model, _, _ = small_model()
    with pytest.raises(InputError, match="no layer 'conv9' with weights; there are: "):
        DeepDefense(model.network, regularized_layers=["conv9"])
