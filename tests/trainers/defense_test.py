"""Each defense that a trainer's flags can name, on a few digits; what it adds to a training beside its losses."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver

import tfrobust as tfr
from tfrobust import InputError, data, defenses
from trainers import adversarial_set, defense, fitting, networks, workdir
from trainers.config import TrainingConfig
from trainers.defense import DefenseConfig
from trainers.feeds import SplitFeed
from trainers.networks import NetworkConfig
from trainers.optimization import OptimizationConfig

TRAIN, TEST = data.load("digits", "train").take(200), data.load("digits", "test").take(50)
KINDS = {
    "deep_defense": defenses.DeepDefense,
    "adversarial_training": defenses.AdversarialTraining,
    "trades": defenses.TRADES,
    "mart": defenses.MART,
    "free": defenses.FreeAdversarialTraining,
    "fast": defenses.FastAdversarialTraining,
    "parseval": defenses.Parseval,
    "noise": defenses.NoiseTraining,
    "interval_bounds": defenses.IntervalBoundTraining,
}


def config_of(folder, **changes):
    """A short training of an MLP."""
    given = {"optimization": OptimizationConfig(learning_rate=0.01), "epochs": 2, "batch_size": 50, **changes}
    return TrainingConfig(folder, NetworkConfig("mlp"), **given)


def trained(config):
    """The network, the model that was fitted, and its history."""
    network = networks.make_network(config.network, TRAIN, config.seed)
    model = defense.defend(network, config.defense, config.seed)
    feed = adversarial_set.training_feed(SplitFeed(TRAIN), network, config.defense)
    fitting.compile_model(model, config, examples=feed.examples)
    workdir.open_workdir(config)
    return network, model, fitting.fit(model, config, tf.distribute.get_strategy(), feed, TEST)


def test_every_kind_that_the_flags_offer_is_a_defense_with_their_settings():
    network = networks.make_network(NetworkConfig("mlp"), TRAIN, 0)
    config = DefenseConfig(
        noise_sigma=0.5,
        bound_radius=0.2,
        bound_warm_up=5,
        bound_ramp=6,
        beta=3.0,
        replays=5,
        tightness=0.5,
        added_attack="fgsm(linf(0.2))",
        regularized_layers=("fc1",),
        lam=4.0,
    )
    made = {kind: defense.defend(network, dataclasses.replace(config, kind=kind), seed=7) for kind in KINDS}
    assert {kind: type(model) for kind, model in made.items()} == KINDS
    assert set(defense.KINDS) == {"none", "adversarial_set", *KINDS}
    assert made["trades"].beta == made["mart"].beta == 3.0 and made["free"].updates_per_step == 5
    assert made["parseval"].beta == 0.5 and made["deep_defense"].regularized_layers == ["fc1"]
    assert all(model.seed == 7 for kind, model in made.items() if kind != "interval_bounds")
    assert made["noise"].sigma == 0.5 and made["interval_bounds"].radius == 0.2
    assert made["interval_bounds"].warm_up == 5 and made["interval_bounds"].ramp == 6
    assert str(made["fast"].run_attack.ball) == str(made["free"].ball) == "linf(8/255)"
    assert defense.defend(network, dataclasses.replace(config, kind="adversarial_set")) is network


def test_the_flags_say_every_field():
    from trainers import defense_flags

    values = {"defense": "mart", "beta": 2.5, "replays": 3, "tightness": 0.25, "regularized_layers": ["fc1", "fc2"]}
    values |= {"added_attack": "fgsm(linf(0.1))", "training_attack": "pgd(linf(0.3))", "lam": 1.5}
    values |= {"noise_sigma": 0.5, "bound_radius": 0.2, "bound_warm_up": 5, "bound_ramp": 6}
    with flagsaver.flagsaver(**values):
        flags.FLAGS.mark_as_parsed()
        found = defense_flags.from_flags()
    assert (found.kind, found.beta, found.replays, found.tightness, found.lam) == ("mart", 2.5, 3, 0.25, 1.5)
    assert (found.regularized_layers, found.added_attack) == (("fc1", "fc2"), "fgsm(linf(0.1))")


def test_an_adversarial_set_is_made_once_and_trained_on_beside_the_images(tmp_path, capsys):
    config = config_of(tmp_path, defense=DefenseConfig("adversarial_set", training_attack="deepfool()"), epochs=1)
    network = networks.make_network(config.network, TRAIN, config.seed)
    before = network.get_weights()
    _, model, history = trained(config)
    said = f"{tmp_path / adversarial_set.NAME}: deepfool() makes 200 images\n"
    assert said in capsys.readouterr().out
    made = data.read_arrays(tmp_path / adversarial_set.NAME)["images"]
    network.set_weights(before)
    attack = tfr.attacks.parse("deepfool()")
    expected = attack(lambda x: network(x, training=False), TRAIN.floats(), TRAIN.labels, seed=0)
    np.testing.assert_allclose(made, expected, atol=1e-4)
    assert len(history["loss"]) == 1 and model.optimizer.iterations == 2 * 200 / 50
    written = (tmp_path / adversarial_set.NAME).stat().st_mtime_ns
    trained(dataclasses.replace(config, epochs=2))  # goes on
    assert (tmp_path / adversarial_set.NAME).stat().st_mtime_ns == written
    assert said not in capsys.readouterr().out


def test_a_set_of_streamed_images_is_refused():
    with pytest.raises(InputError, match="--defense=adversarial_training for these data"):
        adversarial_set.training_feed(object(), None, DefenseConfig("adversarial_set"))


def test_free_training_counts_its_schedule_in_updates(tmp_path):
    optimization = OptimizationConfig(learning_rate=0.01, learning_rate_drops=(1,))
    config = config_of(tmp_path, optimization=optimization, defense=DefenseConfig("free", replays=3), epochs=1)
    _, model, history = trained(config)
    rate = model.optimizer._learning_rate
    assert model.optimizer.iterations == 3 * 200 / 50
    np.testing.assert_allclose([rate(12), rate(13)], [0.01, 0.005])
    assert {"robust_accuracy", "val_accuracy", "val_robust_accuracy"} <= history.keys()


def test_a_training_step_is_traced_once(tmp_path, monkeypatch):
    losses_of, traced = defenses.NoiseTraining.losses_of, []

    def noted(model, batch, training):
        traced.append(training)
        return losses_of(model, batch, training)

    monkeypatch.setattr(defenses.NoiseTraining, "losses_of", noted)
    trained(config_of(tmp_path, defense=DefenseConfig("noise")))
    assert traced.count(True) == 1


def test_fast_training_is_checked_for_catastrophic_overfitting(tmp_path):
    config = config_of(tmp_path, defense=DefenseConfig("fast"), epochs=1)
    _, _, history = trained(config)
    assert 0 <= history["checked_robust_accuracy"][0] <= 1


def test_the_moving_average_of_the_weights_is_what_is_validated_and_left(tmp_path):
    """After four steps from w0: (1 - m) (w4 + m w3 + m^2 w2 + ...) + m^4 w0, which Keras' optimizers keep."""
    optimization = OptimizationConfig(learning_rate=0.01, averaging=0.5)
    network, model, history = trained(config_of(tmp_path / "average", optimization=optimization, epochs=1))
    plain, *_ = trained(config_of(tmp_path / "plain", epochs=1))
    averages = [variable.numpy() for variable in model.optimizer._model_variables_moving_average]
    for found, average in zip(network.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(found, average)
    assert max(np.abs(one - other).max() for one, other in zip(network.get_weights(), plain.get_weights())) > 1e-4
    loss = model.evaluate(TEST.floats(), TEST.labels, verbose=0)[0]
    np.testing.assert_allclose(history["val_loss"], loss, rtol=1e-5)


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda: defense.ball_of(DefenseConfig("free", training_attack="deepfool()")), "deepfool.* has none"),
        (
            lambda: config_of(None, optimization=OptimizationConfig(averaging=0.9), early_stop=2),
            "--averaging .* choose one",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong()
