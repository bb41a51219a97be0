"""One device, several devices and several processes: the same training and the same evaluation."""

import concurrent.futures
import json

import numpy as np
import pytest

from tests.support import programs
from tests.support.servers import environments
from tfrobust import targets

MIRRORED = ("--strategy=mirrored", "--virtual_devices=2")
QUICK = ("--flagfile=trainers/configs/quickstart.flags", "--epochs=2")
CIFAR = (
    "--model=vgg11",
    "--width=4",
    "--masks=shallow=0.5",
    "--batch_size=320",
    "--epochs=1",
    "--learning_rate=0.02",
)


def weights(workdir):
    return targets.load_model(workdir / "model.keras").get_weights()


def history(workdir):
    return json.loads((workdir / "metrics.json").read_text())["history"]


def assert_same_run(one, other, tolerance):
    for first, second in zip(weights(one), weights(other), strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=tolerance * max(0.1, np.abs(first).max()))
    for name, values in history(one).items():
        np.testing.assert_allclose(history(other)[name], values, rtol=tolerance)


def run_workers(program, *arguments, workdirs):
    """Runs one process for each workdir, together, as the workers of one cluster."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in environments.free_ports(len(workdirs))]}

    def work(index, workdir):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        return programs.run(program, *arguments, workdir, environment={"TF_CONFIG": config})

    with concurrent.futures.ThreadPoolExecutor(len(workdirs)) as pool:
        processes = list(pool.map(work, range(len(workdirs)), workdirs))
    for process in processes:
        assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]


def test_two_devices_train_as_one_and_batch_normalization_sees_the_whole_batch(few_digits, tmp_path):
    """One step: in more, rounding grows. In float64 the losses agree to 14 digits; in float32 means near 0 do not."""
    for name, flags in (("one", ()), ("two", MIRRORED)):
        programs.succeed("trainers.cifar", *CIFAR, f"--dataset={few_digits}", *flags, f"--workdir={tmp_path / name}")
    assert_same_run(tmp_path / "one", tmp_path / "two", tolerance=1e-3)


def test_two_workers_train_as_one_and_only_the_chief_writes(artifacts, tmp_path):
    """Each is given a workdir of its own here, so that what the second one writes would show."""
    chief, follower = tmp_path / "chief", tmp_path / "follower"
    flags = (*QUICK, "--strategy=multi_worker")
    run_workers("trainers.mnist", *flags, workdirs=[f"--workdir={chief}", f"--workdir={follower}"])
    assert_same_run(artifacts.workdir, chief, tolerance=1e-4)
    assert {path.name for path in chief.iterdir()} >= {"model.keras", "metrics.json", "checkpoints", "flags.txt"}
    assert not list(follower.iterdir())


def report(folder):
    return json.loads((folder / "report.json").read_text())


def test_two_workers_evaluate_as_one(artifacts, tmp_path):
    """Two devices of one process, and the checks that ask: `replicas_test`."""
    attacks = ("--attack=pgd(linf(0.05),steps=3)", "--attack=deepfool()")
    command = (f"--model={artifacts.model}", "--examples=75", "--batch_size=20", "--noactive_checks", *attacks)
    programs.succeed("trainers.evaluate", *command, f"--output={tmp_path / 'one'}")
    workers = ("--strategy=multi_worker",)
    run_workers("trainers.evaluate", *command, *workers, workdirs=[f"--output={tmp_path / 'several'}"] * 2)
    one, several = report(tmp_path / "one"), report(tmp_path / "several")
    for row, other in zip(one["attacks"], several["attacks"], strict=True):
        for name in ("robust_accuracy", "robust_accuracy_uint8", "median_l2", "queries"):
            assert row[name] == other[name] or row[name] == pytest.approx(other[name], rel=1e-5), name
    alone, together = ([warning["code"] for warning in found["warnings"]] for found in (one, several))
    assert alone == together


@pytest.mark.parametrize("value, said", [("", "needs TF_CONFIG"), ("{", "TF_CONFIG is not")])
def test_multi_worker_without_a_cluster_is_refused(tmp_path, value, said):
    flags = (*QUICK, "--strategy=multi_worker", f"--workdir={tmp_path / 'run'}")
    process = programs.run("trainers.mnist", *flags, environment={"TF_CONFIG": value})
    assert process.returncode == 2 and said in programs.errors(process)[0]
