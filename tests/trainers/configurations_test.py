"""Two trainings in one process, each with a configuration of its own, do not see each other's."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.support import programs
from tfrobust import InputError, data
from trainers import defense, fitting, networks, workdir
from trainers.config import TrainingConfig
from trainers.defense import DefenseConfig
from trainers.networks import NetworkConfig
from trainers.optimization import OptimizationConfig

TRAIN, TEST = data.load("digits", "train").take(200), data.load("digits", "test").take(50)


def configurations(folder):
    """One plain, one that differs in everything that a trainer can be told."""
    plain = TrainingConfig(
        folder / "plain", NetworkConfig("lenet"), OptimizationConfig(learning_rate=0.01), epochs=2, batch_size=50
    )
    other = TrainingConfig(
        folder / "other",
        NetworkConfig("mlp", std=1.0),
        OptimizationConfig(0.05, "cosine", momentum=0.5, weight_decay=0.1, label_smoothing=0.2, optimizer="adam"),
        DefenseConfig("deep_defense", lam=2.0, deepfool_steps=1),
        seed=3,
        epochs=1,
        batch_size=40,
        augment=True,
    )
    return plain, other


def prepared(config):
    """A compiled model, not yet fitted."""
    network = networks.make_network(config.network, TRAIN, config.seed)
    model = defense.defend(network, config.defense, config.seed)
    fitting.compile_model(model, config, examples=len(TRAIN.labels))
    workdir.open_workdir(config)
    return network, model


def fitted(config, network, model):
    """The history and the weights after fitting."""
    history = fitting.fit(model, config, tf.distribute.get_strategy(), TRAIN, TEST)
    return history, network.get_weights()


def test_two_configurations_train_side_by_side_as_they_do_alone(tmp_path):
    """Both are compiled before either is fitted, so that what one leaves behind would reach the other."""
    alone = [fitted(config, *prepared(config)) for config in configurations(tmp_path / "alone")]
    side_by_side = configurations(tmp_path / "side_by_side")
    models = [prepared(config) for config in side_by_side]
    together = [fitted(config, *model) for config, model in zip(side_by_side, models)]
    for (history, weights), (other_history, other_weights) in zip(alone, together):
        assert history == other_history
        for one, other in zip(weights, other_weights, strict=True):
            np.testing.assert_array_equal(one, other)
    (plain, _), (defended, _) = together
    assert len(plain["loss"]) == 2 and len(defended["loss"]) == 1 and {"rho_2"} <= set(defended) - set(plain)


def test_a_workdir_takes_no_run_with_other_flags(tmp_path):
    workdir.open_workdir(TrainingConfig(tmp_path, flagfile="--epochs=1\n"))
    with pytest.raises(InputError, match="other flags"):
        workdir.open_workdir(TrainingConfig(tmp_path, flagfile="--epochs=2\n"))
    assert (tmp_path / "flags.txt").read_text() == "--epochs=1\n"


def test_a_whole_trainer_runs_twice_in_one_process(tmp_path):
    """`main` reads the flags anew: the second run is that of a process of its own, to the bit."""
    first = ["--dataset=digits", "--model=mlp", "--epochs=1", "--batch_size=700", "--weight_decay=0.1"]
    second = ["--dataset=digits", "--model=mlp", "--epochs=2", "--batch_size=500", "--learning_rate_drops=1"]
    code = f"""
from absl import flags
from trainers import mnist

for arguments in {[[*first, f"--workdir={tmp_path}/first"], [*second, f"--workdir={tmp_path}/second"]]}:
    flags.FLAGS.unparse_flags()
    for flag in list(flags.FLAGS):
        flags.FLAGS[flag].unparse()
    flags.FLAGS(["mnist", *arguments])
    mnist.main()
"""
    process = programs.run_code(code)
    assert process.returncode == 0, process.stderr[-2000:]
    programs.succeed("trainers.mnist", *second, f"--workdir={tmp_path}/alone")
    twice, alone = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("second", "alone"))
    assert twice["history"] == alone["history"] and twice["accuracy"] == alone["accuracy"]
    assert len(json.loads((tmp_path / "first" / "metrics.json").read_text())["history"]["loss"]) == 1
