"""When `export.verify` says that an artifact failed."""

import keras

from tests.support import programs
from tfrobust import targets
from tfrobust.evaluation.thresholds import Thresholds, missed

ROWS = [
    {"attack": "pgd(linf(0.1))", "radius": 0.1, "robust_accuracy": 0.5},
    {"attack": "fgsm(linf(0.1))", "radius": 0.1, "robust_accuracy": 0.75},
    {"attack": "deepfool()", "radius": None, "robust_accuracy": None},
]


def failures(flip_rate, **thresholds):
    """The thresholds that an artifact with `ROWS` and this flip rate misses."""
    artifact = {"model": "lenet.tflite", "flip_rate": flip_rate, "attacks": ROWS}
    return missed(Thresholds(**thresholds), artifact)


def test_without_thresholds_nothing_fails():
    assert failures(1.0) == []


def test_a_threshold_that_is_just_met_holds():
    assert failures(0.25, max_flip_rate=0.25, min_robust_accuracy=0.5) == []


def test_a_failure_names_the_artifact_and_both_numbers():
    assert failures(0.25, max_flip_rate=0.2) == ["lenet.tflite: flip rate 0.2500 > 0.2"]
    assert failures(0.25, min_robust_accuracy=0.6) == ["lenet.tflite: pgd(linf(0.1)) leaves 0.5000 < 0.6"]


def test_every_attack_with_a_radius_counts_and_no_other():
    assert len(failures(0.0, min_robust_accuracy=1)) == 2


def test_a_threshold_of_zero_is_a_threshold():
    assert failures(0.01, max_flip_rate=0.0) == ["lenet.tflite: flip rate 0.0100 > 0.0"]


def test_a_threshold_that_nothing_was_judged_by_is_not_met():
    artifact = {"model": "lenet.tflite", "flip_rate": 0.0, "attacks": ROWS[2:]}
    assert missed(Thresholds(min_robust_accuracy=0.0), artifact)[0].startswith("lenet.tflite: no attack says")


def test_an_artifact_that_gives_probabilities_is_attacked_at_their_logarithm(artifacts, tmp_path):
    network = targets.load_model(artifacts.model)
    keras.Model(network.input, keras.layers.Softmax()(network.output)).export(tmp_path / "softmax", verbose=False)
    command = (f"--reference={artifacts.model}", "--examples=20", "--max_flip_rate=0")
    output = programs.succeed("export.verify", *command, f"--artifact={tmp_path / 'softmax'}")
    assert "softmax): it answers with probabilities" in " ".join(output.split())


def test_wrong_use_leaves_nothing_behind(artifacts, tmp_path):
    (tmp_path / "damaged.tflite").write_bytes(b"damaged")
    folders = (f"--output={tmp_path / 'new' / 'report'}", f"--save_adversarial={tmp_path / 'images'}")
    command = (f"--reference={artifacts.model}", f"--artifact={tmp_path / 'damaged.tflite'}")
    process = programs.run("export.verify", *command, *folders)
    assert process.returncode == 2 and "damaged.tflite" in programs.errors(process)[0]
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.tflite"]
