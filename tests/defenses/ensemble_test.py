"""Ensembles: their names, their exports, and members that train as if alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from export import saved_model, tflite
from tests.support import classifiers
from tfrobust import InputError, targets
from tfrobust.defenses import DeepDefense, IndependentMembers, ensemble

IMAGES = classifiers.random_images(12)
LABELS = np.arange(12) % 4


def member(seed, name="member"):
    """A small network with batch normalization and weight decay of its own."""
    keras.utils.set_random_seed(seed)
    images = keras.Input((6, 5, 3), name="image")
    x = keras.layers.Conv2D(6, 3, kernel_regularizer=keras.regularizers.L2(0.01 * seed), name="conv")(images)
    x = keras.layers.Flatten()(keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(x)))
    return keras.Model(images, keras.layers.Dense(4, name="logits")(x), name=name)


def members():
    return [member(seed) for seed in (1, 2, 3)]


def compiled(model, eager=True):
    """Eager where a step is taken: tracing takes longer than it does."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"], run_eagerly=eager)
    return model


def test_average_is_float32_in_mixed_precision():
    """From members that are float16, though their weights are not."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = ensemble(members(), "probabilities")
    finally:
        keras.config.set_dtype_policy("float32")
    assert [output.dtype for output in (model.layers[1](IMAGES), model(IMAGES))] == ["float16", "float32"]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_ensemble_is_the_average_of_its_members_and_survives_saving(average, count, tmp_path):
    networks = members()[:count]
    logits = np.stack([network(IMAGES) for network in networks])
    model = ensemble(networks, average)
    expected = logits.mean(axis=0) if average == "logits" else np.log(tf.nn.softmax(logits).numpy().mean(axis=0))
    np.testing.assert_allclose(model(IMAGES), expected, rtol=1e-4, atol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(targets.load_model(tmp_path / "model.keras")(IMAGES), model(IMAGES))


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_ensemble_survives_export(average, tmp_path):
    model = ensemble(members(), average)
    saved_model.write(model, tmp_path / "saved")
    (tmp_path / "ensemble.tflite").write_bytes(tflite.convert(model))
    for name in ("saved", "ensemble.tflite"):
        np.testing.assert_allclose(targets.load(tmp_path / name).predictor()(IMAGES), model(IMAGES), atol=1e-4)


@pytest.mark.parametrize(
    "names, inside",
    [
        (["net", "net"], ["net_1", "net_2"]),
        (["a", "b"], ["a", "b"]),
        (["net", "net", "net_1"], ["net_1", "net_2", "net_1_3"]),
    ],
)
def test_members_are_told_apart_and_keep_their_names_and_weights(names, inside):
    networks = [member(seed, name) for seed, name in enumerate(names, start=1)]
    model = ensemble(networks)
    assert [layer.name for layer in model.layers[1:-1]] == inside
    assert [network.name for network in networks] == names
    before = model(IMAGES).numpy()
    bias = networks[0].get_layer("logits").bias
    bias.assign(bias + len(names))
    np.testing.assert_allclose(model(IMAGES), before + 1, rtol=1e-5)


def test_an_ensemble_can_be_a_member():
    networks = members()
    nested = ensemble([ensemble(networks[:2]), networks[2]])
    expected = (0.5 * networks[0](IMAGES) + 0.5 * networks[1](IMAGES) + networks[2](IMAGES)) / 2
    np.testing.assert_allclose(nested(IMAGES), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sample_weight", [None, np.linspace(0, 2, 12).astype("float32")])
def test_one_step_of_all_members_is_one_step_of_each_alone(sample_weight):
    """Weights, weight decay and the statistics of batch normalization, up to rounding."""
    alone, together = members(), members()
    losses = [
        compiled(network).train_on_batch(IMAGES, LABELS, sample_weight, return_dict=True)["loss"] for network in alone
    ]
    model = compiled(IndependentMembers(ensemble(together)))
    logs = model.train_on_batch(IMAGES, LABELS, sample_weight, return_dict=True)
    np.testing.assert_allclose(logs["loss"], np.sum(losses), rtol=1e-5)
    for one, other in zip(alone, together):
        for expected, found in zip(one.get_weights(), other.get_weights()):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_fit_lowers_the_loss_and_reports_each_members():
    model = compiled(IndependentMembers(ensemble(members())), eager=False)
    history = model.fit(IMAGES, LABELS, batch_size=4, epochs=20, verbose=0).history
    assert set(history) == {"loss", "accuracy", "member_1_loss", "member_2_loss", "member_3_loss"}
    assert history["loss"][-1] < history["loss"][0]


def test_accuracy_is_the_ensembles_and_each_loss_a_members():
    networks, images = members(), classifiers.random_images(30, low=-3, high=3)  # on which the members disagree
    model = compiled(IndependentMembers(ensemble(networks)))
    labels = np.argmax(model.network(images), axis=1)
    logs = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert logs["accuracy"] == 1
    for number, network in enumerate(networks, start=1):
        logits = network(images)
        np.testing.assert_allclose(logs[f"member_{number}_loss"], model.loss(labels, logits), rtol=1e-5)
        assert not (np.argmax(logits, axis=1) == labels).all()


def test_independent_members_survive_saving(tmp_path):
    model = compiled(IndependentMembers(ensemble(members(), "probabilities")))
    model.fit(IMAGES, LABELS, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.network(IMAGES), model.network(IMAGES))
    assert loaded.evaluate(IMAGES, LABELS, verbose=0) == model.evaluate(IMAGES, LABELS, verbose=0)


def other_network(shape, classes):
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes)], name="other")


def two_headed_network():
    images = keras.Input((6, 5, 3))
    return keras.Model(images, [images, keras.layers.Flatten()(images)])


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda: ensemble([]), "at least one member"),
        (lambda: ensemble([member(1), other_network((6, 6, 3), 4)]), r"input_shape; got .* of member, .* of other"),
        (lambda: ensemble([member(1), other_network((6, 5, 3), 5)]), r"output_shape; got \(None, 4\) of member"),
        (lambda: ensemble([DeepDefense(member(1))]), "give its .network"),
        (lambda: ensemble([keras.Sequential([keras.layers.Dense(4)])]), "must be functional"),
        (lambda: ensemble([two_headed_network()]), "1 inputs and 2 outputs"),
        (lambda: ensemble([member(1)] * 2), "comes twice"),
        (lambda: ensemble(members(), "votes"), "logits, probabilities; got 'votes'"),
        (lambda: IndependentMembers(member(1)), "member is not an ensemble"),
    ],
)
def test_what_is_no_ensemble_is_refused_in_one_line(wrong, said):
    with pytest.raises(InputError, match=said) as error:
        wrong()
    assert "\n" not in str(error.value)
