"""What flags say becomes frozen values, and every flag arrives."""

import dataclasses
import pathlib

import pytest

from tests.support import programs
from tfrobust.evaluation import EvaluationConfig
from trainers.config import TrainingConfig
from trainers.defense import DefenseConfig
from trainers.networks import NetworkConfig
from trainers.optimization import OptimizationConfig


def said(module, *arguments, call="from_flags()"):
    """What a module makes of a command line; in a process of its own, since flags are global."""
    lines = [
        "from absl import flags",
        f"import {module} as module",
        f"flags.FLAGS(['program', *{list(arguments)}])",
        f"print(module.{call})",
    ]
    process = programs.run_code("\n".join(lines))
    assert process.returncode == 0, process.stderr[-2000:]
    return process.stdout.strip()


def test_every_flag_of_a_training_arrives():
    expected = TrainingConfig(
        pathlib.Path("runs/one"),
        NetworkConfig("vgg11", "initial.keras", width=8, quantization_aware=True),
        OptimizationConfig(0.1, "step", (3, 7), 0.25, 0.8, 0.01, 0.2, "mixed_bfloat16", "adam"),
        DefenseConfig(
            "deep_defense", 1.0, 2.0, 3.0, 4, candidates=7, training_attack="fgsm(linf(0.1))", clean_share=0.5
        ),
        *("mnist", 5, 9, 64, 100, 2, True),
        perturbation_examples=50,
        flagfile="",
    )
    flags = (
        *("--workdir=runs/one", "--init_weights=initial.keras", "--seed=5", "--epochs=9", "--batch_size=64"),
        *(
            "--validation_examples=100",
            "--early_stop=2",
            "--quantization_aware",
            "--perturbation_examples=50",
            "--learning_rate=0.1",
            "--learning_rate_drops=3,7",
        ),
        *(
            "--optimizer=adam",
            "--learning_rate_factor=0.25",
            "--momentum=0.8",
            "--weight_decay=0.01",
            "--label_smoothing=0.2",
        ),
        *(
            "--precision=mixed_bfloat16",
            "--defense=deep_defense",
            "--lam=1",
            "--c=2",
            "--d=3",
            "--deepfool_steps=4",
            "--candidates=7",
        ),
        *("--training_attack=fgsm(linf(0.1))", "--clean_share=0.5"),
    )
    call = "from_flags('mnist', True, model='vgg11', width=8)"
    assert said("trainers.training_flags", *flags, call=call) == str(expected)


def test_every_flag_of_an_evaluation_arrives():
    flags = ("--attack=deepfool()", "--dataset=mnist", "--examples=7", "--seed=3", "--batch_size=20", "--output=runs")
    flags += ("--pixels=uint8", "--noactive_checks", "--save_adversarial=images")
    config = EvaluationConfig(
        3, 20, "mnist", pixels="uint8", active_checks=False, finished=pathlib.Path("runs/finished")
    )
    assert said("tfrobust.cli.attacks", *flags, call="from_flags().config()") == str(config)
    plan = "AttackPlan(attacks=('deepfool()',), dataset='mnist', examples=7, seed=3, batch_size=20, "
    assert said("tfrobust.cli.attacks", *flags) == (
        f"{plan}output=PosixPath('runs'), pixels='uint8', active_checks=False, save_adversarial=PosixPath('images'))"
    )


def test_data_and_devices_arrive():
    assert said("tfrobust.cli.data", "--data_dir=d", "--nodownload") == "DataSource(data_dir='d', download=False)"
    flags, call = ("--test_split=train[80%:]", "--image_size=224,192"), "from_flags().__dict__"
    assert said("tfrobust.cli.data", *flags, call=call) == str(
        {"data_dir": None, "download": True, "test_split": "train[80%:]", "image_size": (224, 192)}
    )
    flags = ("--strategy=mirrored", "--virtual_devices=2")
    assert said("tfrobust.cli.devices", *flags) == "Devices(strategy='mirrored', virtual_devices=2)"


@pytest.mark.parametrize("config", [NetworkConfig(), OptimizationConfig(), DefenseConfig(), TrainingConfig("run")])
def test_configurations_cannot_be_changed(config):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, dataclasses.fields(config)[0].name, None)


def test_what_a_model_was_trained_with_is_in_the_flags_beside_it(tmp_path):
    expected = {"none": None, "parseval": None, "deep_defense": "deepfool()"}
    expected |= dict.fromkeys(["trades", "fast"], "pgd(linf(0.1))")
    for defense in expected:
        (tmp_path / defense).mkdir()
        (tmp_path / defense / "flags.txt").write_text(f"--defense={defense}\n--training_attack=pgd(linf(0.1))\n")
    models = [tmp_path / defense / "model.keras" for defense in expected]
    call = ", module.".join(f"trained_with('{path}')" for path in [*models, tmp_path / "trades" / "model.tflite"])
    assert said("tfrobust.cli.attacks", call=call) == " ".join(map(str, [*expected.values(), None]))
