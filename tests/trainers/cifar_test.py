"""`trainers.cifar` as its users run it."""

import json

import keras
import numpy as np
import pytest

from tests.support import programs
from tfrobust import layers, models, targets
from tfrobust.models import masks

CIFAR = ("--model=vgg11", "--width=4", "--batch_size=32", "--epochs=2", "--learning_rate=0.02")


@pytest.fixture
def train(few_digits, tmp_path):
    """Trains on few digits, with these flags; returns the network and what was measured."""

    def run(*flags):
        programs.succeed("trainers.cifar", *CIFAR, f"--dataset={few_digits}", *flags, f"--workdir={tmp_path}")
        return targets.load_model(tmp_path / "model.keras"), json.loads((tmp_path / "metrics.json").read_text())

    return run


def test_masks_are_a_flag_and_the_model_says_which_it_has(train):
    network, metrics = train("--masks=shallow=0.7,kind=same", "--label_smoothing=0.1", "--schedule=cosine")
    assert str(masks.placement(network)) == "shallow=0.7,kind=same"
    assert metrics["history"]["loss"][1] < metrics["history"]["loss"][0] and 0 <= metrics["accuracy"] <= 1


def test_ace_is_a_flag_and_its_lam_is_not_trained(train):
    network, metrics = train("--ace=10", "--padding=symmetric", "--schedule=one_cycle", "--masks=shallow=0.5")
    assert float(models.enhancer(network).lam) == 10 and str(masks.placement(network)) == "shallow=0.5"
    assert metrics["history"]["loss"][1] < metrics["history"]["loss"][0]


def test_mixed_precision_trains_and_saves_a_float32_network(train):
    network, metrics = train("--masks=shallow=0.5", "--precision=mixed_bfloat16")
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    assert metrics["history"]["loss"][1] < metrics["history"]["loss"][0]


def test_members_of_an_ensemble_train_alone_with_masks_of_their_own(train):
    network, metrics = train("--masks=shallow=0.5", "--members=2")
    members = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    first, second = (np.array(member.get_layer("group0_conv1_mask").kept) for member in members)
    assert (first != second).any() and layers.origin(network).shape == (28, 28, 1)
    assert {"vgg11_1_loss", "vgg11_2_loss"} <= set(metrics["history"])


def test_adversarial_training_reports_robust_accuracy(train):
    flags = ("--defense=adversarial_training", "--training_attack=fgsm(linf(0.05))", "--clean_share=0.5")
    _, metrics = train(*flags, "--epochs=1")
    assert {"robust_accuracy", "val_robust_accuracy"} <= set(metrics["history"])


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--model=resnet81",), "unknown model 'resnet81'"),
        (("--masks=shalow=0.5",), "masks 'shalow=0.5'"),
        (("--masks=7=0.5",), "there is no block 7"),
        (("--ace=-1",), "lam must be at least 0"),
        (("--ace=10", "--model=ace_toy"), "ace_toy has no batch normalization"),
        (("--ace=inf", "--model=lenet"), "did not train with a lam of 10 and above"),
        (("--padding=symmetric", "--model=lenet"), "lenet takes no padding"),
        (("--masks=shallow=1",), "in [0, 1)"),
        (("--defense=adversarial_training", "--training_attack=pdg(linf(0.1))"), "pdg"),
    ],
)
def test_wrong_flags_end_in_one_line(tmp_path, flags, said):
    process = programs.run("trainers.cifar", *CIFAR, "--dataset=digits", *flags, f"--workdir={tmp_path / 'run'}")
    assert process.returncode == 2 and said in programs.errors(process)[0], process.stderr[-500:]
