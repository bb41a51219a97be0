"""Checkpoints, going on after a kill, and early stopping."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.support import programs
from tfrobust import targets
from trainers import checkpoints

CIFAR = (
    "--model=vgg11",
    "--width=4",
    "--masks=shallow=0.1,kind=drop_block",
    "--batch_size=32",
    "--epochs=4",
    "--learning_rate=0.02",
    "--schedule=one_cycle",
)


def kill_after_epoch(epoch, program, *arguments, workdir):
    """Starts a trainer and kills it as soon as it has a checkpoint of `epoch`."""
    command = [sys.executable, "-m", program, *arguments, f"--workdir={workdir}"]
    process = subprocess.Popen(command, cwd=programs.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(20_000):
        if (workdir / "checkpoints" / f"{epoch}.json").exists() or process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"


def test_a_killed_run_goes_on_as_if_nothing_had_happened(few_digits, tmp_path):
    """Order, augmentation, dropped units, momentum, rate and history are those of an uninterrupted run, to the bit."""
    flags = (*CIFAR, f"--dataset={few_digits}")
    programs.succeed("trainers.cifar", *flags, f"--workdir={tmp_path / 'whole'}")
    kill_after_epoch(1, "trainers.cifar", *flags, workdir=tmp_path / "killed")
    assert not (tmp_path / "killed" / "model.keras").exists()
    output = programs.succeed("trainers.cifar", *flags, f"--workdir={tmp_path / 'killed'}")
    assert "Epoch 4/4" in output and "Epoch 1/4" not in output
    whole, killed = (targets.load_model(tmp_path / name / "model.keras") for name in ("whole", "killed"))
    for one, other in zip(whole.get_weights(), killed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    histories = [json.loads((tmp_path / name / "metrics.json").read_text())["history"] for name in ("whole", "killed")]
    assert histories[0] == histories[1] and len(histories[0]["loss"]) == 4


def test_a_training_that_diverges_ends_in_one_line_and_saves_nothing(few_digits, tmp_path):
    flags = ("--model=lenet", f"--dataset={few_digits}", "--learning_rate=1e9", "--epochs=2", f"--workdir={tmp_path}")
    process = programs.run("trainers.mnist", *flags)
    assert process.returncode == 2 and "has diverged: the loss of epoch 1 is NaN" in programs.errors(process)[0]
    assert not list(tmp_path.rglob("*.keras")) and not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize(
    "accuracies, patience, stopped",
    [
        ([0.5], 1, False),
        ([0.5, 0.4], 1, True),
        ([0.5, 0.4, 0.6], 2, False),
        ([0.5, 0.4, 0.5], 2, True),
        ([0.5] * 9, None, False),
    ],
)
def test_stops_after_so_many_epochs_without_a_better_one(accuracies, patience, stopped):
    assert checkpoints.stops([{"val_accuracy": accuracy} for accuracy in accuracies], patience) == stopped


def test_early_stop_keeps_the_best_epoch_and_does_not_train_on_when_run_again(few_digits, tmp_path):
    held_out = ("--validation_examples=100", "--early_stop=2")
    flags = (*CIFAR, f"--dataset={few_digits}", "--epochs=30", "--learning_rate=1e-9", *held_out)
    programs.succeed("trainers.cifar", *flags, f"--workdir={tmp_path}")
    history = json.loads((tmp_path / "metrics.json").read_text())["history"]["val_accuracy"]
    assert len(history) < 30 and len(history) == 2 + 1 + history.index(max(history))
    weights = targets.load_model(tmp_path / "model.keras").get_weights()
    assert "Epoch" not in programs.succeed("trainers.cifar", *flags, f"--workdir={tmp_path}")
    for one, other in zip(weights, targets.load_model(tmp_path / "model.keras").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_early_stop_without_held_out_examples_is_refused(tmp_path):
    process = programs.run("trainers.cifar", *CIFAR, "--dataset=digits", "--early_stop=2", f"--workdir={tmp_path}")
    assert process.returncode == 2 and "--validation_examples" in programs.errors(process)[0]
