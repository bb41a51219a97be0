"""`trainers.mnist` as its users run it."""

import json
import os
import shutil

import numpy as np
import tensorflow as tf

from tests.support import programs
from tfrobust import targets

QUICK = ("--flagfile=trainers/configs/quickstart.flags", "--epochs=2")


def weights(workdir):
    return targets.load_model(workdir / "model.keras").get_weights()


def assert_same_weights(one, other):
    for first, second in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_run_leaves_what_the_contract_says(artifacts):
    left = {path.name for path in artifacts.workdir.iterdir()}
    assert left == {"flags.txt", "model.keras", "metrics.json", "checkpoints", "tensorboard"}
    metrics = json.loads((artifacts.workdir / "metrics.json").read_text())
    assert metrics["accuracy"] > 0.5 and 0 < metrics["rho_2"] < 1 and len(metrics["history"]["loss"]) == 2
    assert any((artifacts.workdir / "tensorboard").rglob("events.out*"))


def test_flags_txt_repeats_the_run_to_the_bit(artifacts, tmp_path):
    programs.succeed("trainers.mnist", f"--flagfile={artifacts.workdir / 'flags.txt'}", f"--workdir={tmp_path}")
    assert_same_weights(artifacts.workdir, tmp_path)


def test_the_same_command_does_not_train_twice_and_other_flags_are_refused(artifacts):
    before = (artifacts.workdir / "flags.txt").read_text()
    history = json.loads((artifacts.workdir / "metrics.json").read_text())["history"]
    output = programs.succeed("trainers.mnist", *QUICK, f"--workdir={artifacts.workdir}")
    assert "Epoch" not in output
    assert json.loads((artifacts.workdir / "metrics.json").read_text())["history"] == history
    process = programs.run("trainers.mnist", *QUICK, "--seed=1", f"--workdir={artifacts.workdir}")
    assert process.returncode == 2 and "other flags" in programs.errors(process)[0]
    assert (artifacts.workdir / "flags.txt").read_text() == before


def test_tensorboard_has_a_watched_attack_its_pictures_and_the_hyperparameters(few_digits, tmp_path):
    flags = ("--model=mlp", f"--dataset={few_digits}", "--epochs=2", "--watch_attack=fgsm(linf(0.1))")
    output = programs.succeed("trainers.mnist", *flags, f"--workdir={tmp_path}")
    history = json.loads((tmp_path / "metrics.json").read_text())["history"]["watched_robust_accuracy"]
    assert len(history) == 2 and f"watched_robust_accuracy {history[-1]:.4g}" in output
    found = {
        (value.metadata.plugin_data.plugin_name, value.tag)
        for path in (tmp_path / "tensorboard").rglob("events*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert ("images", "watched_robust_accuracy: clean, adversarial, difference x 10") in found
    assert ("scalars", "epoch_watched_robust_accuracy") in found
    assert "hparams" in {plugin for plugin, _ in found}


def test_a_run_whose_last_checkpoint_is_damaged_goes_on_from_the_one_before(artifacts, tmp_path):
    shutil.copytree(artifacts.workdir / "checkpoints", tmp_path / "checkpoints")
    os.truncate(tmp_path / "checkpoints" / "2.weights.h5", 10_000)
    output = programs.succeed("trainers.mnist", *QUICK, f"--workdir={tmp_path}")
    assert "Epoch 2/2" in output and "Epoch 1/2" not in output
    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy"] > 0.5


def test_deep_defense_fine_tunes_and_saves_the_plain_network(artifacts, few_digits, tmp_path):
    programs.succeed(
        "trainers.mnist",
        "--flagfile=trainers/configs/quickstart_deep_defense.flags",
        f"--init_weights={artifacts.model}",
        f"--dataset={few_digits}",
        "--epochs=1",
        f"--workdir={tmp_path}",
    )
    network = targets.load_model(tmp_path / "model.keras")
    assert [layer.name for layer in network.layers] == [
        layer.name for layer in targets.load_model(artifacts.model).layers
    ]
    history = json.loads((tmp_path / "metrics.json").read_text())["history"]
    assert {"rho_2", "regularizer", "cross_entropy", "val_rho_2", "val_accuracy"} <= set(history)


def test_initial_weights_come_from_an_npz_file(tmp_path):
    generator = np.random.default_rng(0)
    shapes = {"fc1": (784, 500), "fc2": (500, 150), "fc3": (150, 10)}
    arrays = {f"{name}_kernel": generator.normal(size=shape, scale=0.01) for name, shape in shapes.items()}
    arrays |= {f"{name}_bias": np.full(shape[1], 0.5) for name, shape in shapes.items()}
    np.savez(tmp_path / "weights.npz", mean_image=np.full((28, 28), 51.0), **arrays)
    arguments = ("--dataset=digits", "--model=mlp", "--epochs=0", f"--init_weights={tmp_path / 'weights.npz'}")
    programs.succeed("trainers.mnist", *arguments, f"--workdir={tmp_path / 'run'}")
    network = targets.load_model(tmp_path / "run" / "model.keras")
    for name in shapes:
        for found, kind in zip(network.get_layer(name).get_weights(), ("kernel", "bias")):
            np.testing.assert_allclose(found, arrays[f"{name}_{kind}"], rtol=1e-6)
    np.testing.assert_allclose(network.get_layer("preprocessing").mean, 0.2, rtol=1e-6)


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
    process = programs.run("trainers.mnist", *QUICK, "--batch_size=2000", f"--workdir={tmp_path / 'run'}")
    assert process.returncode == 2 and "--batch_size=2000 is more than the 1438" in programs.errors(process)[0]
    assert not (tmp_path / "run").exists()
