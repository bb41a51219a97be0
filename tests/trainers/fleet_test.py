"""The commands of docs/fleet.md as a reader types them, and its files for Kubernetes and Slurm; wrong use of the flags."""

import json
import shlex

import numpy as np
import pytest
import yaml

import tfrobust as tfr
from tests.support import pages, programs
from tests.support.servers import rest
from tfrobust import targets

FOLDER = programs.ROOT / "docs"
WRONG = {
    "no number of parts": (["--shard=1"], "need --shards"),
    "two at once": (["--shards=2", "--shard=1", "--merge"], "exclude one another"),
    "none": (["--shards=2"], "needs --shard=K"),
    "out of range": (["--shards=2", "--shard=2"], "--shard is 0 to 1, got 2"),
    "no folder": (["--shards=2", "--shard=1"], "needs --output"),
    "a baseline": (["--shards=2", "--shard=1", "--output={folder}", "--baseline={model}"], "--baseline"),
    "nothing to merge": (
        ["--shards=2", "--merge", "--output={folder}"],
        "shard 0 of 2 is missing; shard 1 of 2 is missing",
    ),
}


def commands():
    """The commands of the page that evaluate, as lists of words."""
    return [words[2:] for words in pages.commands("fleet.md", "python -m trainers.evaluate")]


@pytest.fixture(scope="module")
def reports(artifacts, tmp_path_factory):
    """By the name of its folder, each report that the page's commands leave, and `alone`, of one process."""
    folder = tmp_path_factory.mktemp("runs")
    for words in commands():
        replaced = [
            word.replace("runs/lenet/model.keras", str(artifacts.model)).replace("runs/", f"{folder}/")
            for word in words
        ]
        programs.succeed(*replaced, "--noactive_checks")
    programs.succeed(*replaced[:5], "--noactive_checks", f"--output={folder}/alone")
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/report.json")}


def test_every_way_gives_the_report_of_one_process(reports):
    assert reports.keys() == {"fleet", "fleet_local", "fleet_ray", "alone"}
    first = reports["alone"]
    for report in reports.values():
        assert report["clean_accuracy"] == first["clean_accuracy"] and report["worst_case"] == first["worst_case"]
        assert report["attacks"][0]["robust_accuracy"] == first["attacks"][0]["robust_accuracy"]
        assert [warning["code"] for warning in report["warnings"]] == [warning["code"] for warning in first["warnings"]]


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_one_line(artifacts, case, tmp_path):
    flags, message = WRONG[case]
    given = [flag.format(folder=tmp_path / "new", model=artifacts.model) for flag in flags]
    process = programs.run(
        "trainers.evaluate", f"--model={artifacts.model}", "--examples=20", "--attack=fgsm(linf(0.1))", *given
    )
    (line,) = programs.errors(process)
    assert process.returncode == 2 and message in line


def test_the_place_comes_from_kubernetes_or_slurm(artifacts, tmp_path):
    for name, place in (("JOB_COMPLETION_INDEX", "1"), ("SLURM_ARRAY_TASK_ID", "0")):
        flags = [f"--model={artifacts.model}", "--examples=20", "--attack=fgsm(linf(0.1))", "--shards=2"]
        process = programs.run("trainers.evaluate", *flags, f"--output={tmp_path}", environment={name: place})
        assert process.returncode == 0 and f"shard-0000{place}-of-00002" in process.stdout


def _flags(words):
    return {word.partition("=")[0] for word in words if word.startswith("--")}


def test_the_job_and_the_array_use_flags_that_exist():
    job = yaml.safe_load((FOLDER / "fleet/job.yaml").read_text())
    assert job["spec"]["completionMode"] == "Indexed"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert f"--shards={job['spec']['completions']}" in container["command"]
    script = (FOLDER / "fleet/array.sh").read_text()
    words = shlex.split(script.replace("\\\n", " "), comments=True)
    assert "--array=0-499%50" in script and "--shards=500" in words
    known = programs.run("trainers.evaluate", "--help").stdout
    for flag in _flags(container["command"]) | _flags(words):
        assert f"  {flag}:" in known


def test_workers_share_the_log_and_the_budget_of_a_served_model(tmp_path):
    images = np.random.default_rng(0).uniform(size=[30, 4, 4, 1]).astype("float32")
    np.savez(tmp_path / "data.npz", images=images, labels=rest.logits(images).argmax(axis=1))
    with rest.running() as server:
        attack = ["--attack=square(linf(0.1), queries=20)", f"--dataset={tmp_path / 'data.npz'}"]
        flags = [f"--model={server.address}", *attack, "--shards=3", f"--output={tmp_path / 'shared'}"]
        programs.succeed("trainers.evaluate", *flags, "--engine=local", "--workers=2")
        report = json.loads((tmp_path / "shared/report.json").read_text())
        assert report["endpoint"]["queries"] == server.answered
        budget = server.answered + 20  # what others have asked counts
        more = ["--shard=0", "--seed=1", f"--max_queries={budget}"]
        (line,) = programs.errors(programs.run("trainers.evaluate", *flags, *more))
        assert f"the budget of {budget} queries" in line and server.answered <= budget
    local = tfr.evaluate(
        targets.FunctionTarget(rest.logits), *np.load(tmp_path / "data.npz").values(), attack[0][9:], progress=False
    )
    assert report["attacks"][0]["robust_accuracy"] == local.report["attacks"][0]["robust_accuracy"]
