"""`trainers.compare`: reports side by side, and the gate against the last release."""

import copy
import json
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.support import browser, classifiers, programs
from tfrobust import InputError, evaluate
from tfrobust.evaluation import comparison


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The reports of a release, of a candidate that is worse in one slice, and of another attack."""
    folder = tmp_path_factory.mktemp("compare")
    images, network = classifiers.random_images(48), classifiers.smooth_network()
    labels = np.argmax(network(images), axis=1)
    attacks = ["fgsm(linf(0.02))", "deepfool()"]
    found = evaluate(
        network, images, labels, attacks, slices={"camera": np.arange(48) % 2}, progress=False, active_checks=False
    )
    found.save(folder / "release")
    report = json.loads((folder / "release" / "report.json").read_text())
    candidate = copy.deepcopy(report)
    candidate["slices"]["camera"][1]["robust_accuracy"]["fgsm(linf(0.02))"] -= 2 / 24
    other = {**copy.deepcopy(report), "run": {"data_sha256": "of others"}}
    fewer = {**copy.deepcopy(report), "attacks": report["attacks"][1:]}
    for name, contents in (("candidate", candidate), ("other", other), ("fewer", fewer)):
        (folder / name).mkdir()
        (folder / name / "report.json").write_text(json.dumps(contents))
    return folder


def reports(folder, *names):
    return [str(folder / name / "report.json") for name in names]


def test_a_candidate_that_is_worse_in_one_slice_is_refused_and_the_slice_is_named(folder, tmp_path):
    process = programs.run(
        "trainers.compare", *reports(folder, "release", "candidate"), "--max_drop=0.01", f"--output={tmp_path}"
    )
    assert process.returncode == 1 and "candidate: camera 1: fgsm(linf(0.02)): " in process.stdout
    assert process.stdout.count(" % after ") == 1 and "verdict: failed, 1 " in process.stdout
    page = (tmp_path / "report.html").read_text()
    assert 'class="verdict failed"' in page and "camera 1: fgsm(linf(0.02))" in page
    assert '<th scope="col">release</th><th scope="col">candidate</th>' in page
    (failure,) = ElementTree.parse(tmp_path / "junit.xml").findall(".//failure")
    assert "camera 1: fgsm(linf(0.02))" in failure.get("message")


@pytest.mark.parametrize("flags", [("--max_drop=0.09",), ("--max_drop=0.01", "--min_examples=25"), ()])
def test_within_what_may_fall_it_passes(folder, flags):
    said = programs.succeed("trainers.compare", *reports(folder, "release", "candidate", "release"), *flags)
    assert "Left out" not in said
    assert "verdict: passed, 0 " in said if flags else "verdict: 1 accuracies are lower" in said


def test_the_page_opens_without_a_network_and_without_sideways_scroll(folder, tmp_path):
    programs.succeed("trainers.compare", *reports(folder, "release", "candidate"), f"--output={tmp_path / 'page'}")
    opened = browser.opened(tmp_path / "page", tmp_path / "p.png", name="report.html", ready=browser.LOADED, axe=True)
    assert opened["problems"] == [] and opened["sideways"] <= 0 and opened["cut"] <= 0
    assert [found for found in opened["violations"] if found["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize(
    "names, flags, said",
    [
        (("release",), (), "name two or more"),
        (("release", "other"), ("--max_drop=0.1",), "different images"),
        (("release", "fewer"), ("--max_drop=0.1",), "not all reports have fgsm(linf(0.02)), which the first has"),
        (("release", "missing"), (), "missing/report.json is not a readable report.json"),
    ],
)
def test_wrong_use_ends_in_one_line(folder, names, flags, said):
    process = programs.run("trainers.compare", *reports(folder, *names), *flags)
    assert process.returncode == 2 and said in programs.errors(process)[0]


def test_attacks_that_only_some_reports_have_are_named(folder):
    said = programs.succeed("trainers.compare", *reports(folder, "release", "fewer"))
    assert "Left out, since not all reports have it: fgsm(linf(0.02))." in said
    programs.succeed("trainers.compare", *reports(folder, "fewer", "release"), "--max_drop=0.01")  # one more is welcome


def test_only_what_all_reports_have_is_compared(folder):
    one = comparison.read(folder / "release" / "report.json")
    other = {**one, "attacks": one["attacks"][1:], "worst_case": []}
    shared = comparison.in_common([one, other])
    assert [[row["attack"] for row in report["attacks"]] for report in shared] == [["deepfool()"]] * 2
    assert not shared[0]["worst_case"] and not list(comparison.drops(*shared, max_drop=0.0))
    with pytest.raises(InputError, match="no attack in common"):
        comparison.in_common([other, {**one, "attacks": one["attacks"][:1]}])


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "transfer.json").write_text('{"models": []}')
    with pytest.raises(InputError, match="no report of an evaluation: it has no 'model'"):
        comparison.read(tmp_path / "transfer.json")
