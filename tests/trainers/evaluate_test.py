"""`trainers.evaluate` as its users run it."""

import json
from xml.etree import ElementTree

import numpy as np

from tests.support import programs
from tfrobust import data

ATTACKS = ("--attack=pgd(linf(0.1), steps=3)", "--attack=deepfool()")


def evaluate(folder, *arguments):
    output = programs.succeed("trainers.evaluate", *arguments, f"--output={folder}")
    return output, json.loads((folder / "report.json").read_text())


def test_report_has_the_contracts_fields(artifacts, tmp_path):
    arguments = (f"--model={artifacts.model}", "--dataset=digits", "--examples=50", "--seed=3", *ATTACKS)
    output, report = evaluate(tmp_path / "one", *arguments)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        *("curves.png", "junit.xml", "pictures.png", "progress.png", "report.html", "report.json", "results.sarif")
    ]
    assert (report["model"], report["dataset"], report["examples"], report["seed"]) == (
        *(str(artifacts.model), "digits", 50, 3),
    )
    pgd, deepfool = report["attacks"]
    assert pgd["attack"] == "pgd(linf(0.1), steps=3)" and pgd["norm"] == "linf" and pgd["radius"] == 0.1
    assert deepfool["norm"] is None and deepfool["robust_accuracy"] is None and deepfool["rho_2"] > 0
    (worst,) = report["worst_case"]
    assert (
        worst["ball"] == "linf(0.1)" and worst["robust_accuracy"] <= pgd["robust_accuracy"] <= report["clean_accuracy"]
    )
    assert {"N"} <= {warning["code"] for warning in report["warnings"]}
    assert f"{pgd['robust_accuracy']:.2%}" in output and "report.html" in output


def test_a_model_that_withstands_too_little_ends_with_exit_code_1_and_ci_systems_see_it(artifacts, tmp_path):
    arguments = (f"--model={artifacts.model}", "--dataset=digits", "--examples=30", "--noactive_checks", *ATTACKS)
    process = programs.run("trainers.evaluate", *arguments, "--min_robust_accuracy=0.99", f"--output={tmp_path}")
    assert process.returncode == 1 and "\nfailed: " in process.stdout and "leaves 0." in process.stdout
    (failure,) = ElementTree.parse(tmp_path / "junit.xml").findall(".//failure")
    (run,) = json.loads((tmp_path / "results.sarif").read_text())["runs"]
    assert failure.text in [one["message"]["text"] for one in run["results"] if one["level"] == "error"]
    evaluate(tmp_path / "met", *arguments, "--min_robust_accuracy=0.0")


def test_a_threshold_needs_an_attack_with_a_radius(artifacts):
    arguments = (f"--model={artifacts.model}", "--dataset=digits", "--attack=deepfool()", "--min_robust_accuracy=0.5")
    process = programs.run("trainers.evaluate", *arguments)
    assert process.returncode == 2 and "needs an --attack with a radius" in process.stderr


def test_baseline_stands_beside_the_model(artifacts, tmp_path):
    arguments = (
        f"--model={artifacts.saved_model}",
        f"--baseline={artifacts.model}",
        "--examples=30",
        "--noactive_checks",
        *ATTACKS,
    )
    _, report = evaluate(tmp_path, *arguments)
    assert report["model"] == str(artifacts.saved_model) and report["baseline"]["model"] == str(artifacts.model)
    assert report["clean_accuracy"] == report["baseline"]["clean_accuracy"]  # an export of the same network


def test_common_corruptions_of_a_file_beside_its_network(artifacts, tmp_path):
    arguments = (f"--model={artifacts.float32}", f"--baseline={artifacts.model}", "--examples=30", "--noactive_checks")
    output, report = evaluate(tmp_path, *arguments, "--corruption=gaussian_noise,fog")
    rows = [row for row in report["corruptions"] if row["model"] == str(artifacts.float32)]
    assert [(row["corruption"], row["severity"]) for row in rows[:2]] == [("none", 0), ("gaussian_noise", 1)]
    assert len(rows) == 11 and rows[0]["accuracy"] == report["clean_accuracy"] >= rows[5]["accuracy"]
    assert "mean corruption error" in output and "mCE, relative to" in output
    assert (tmp_path / "corruptions.csv").is_file() and (tmp_path / "corruptions.png").is_file()
    page = (tmp_path / "report.html").read_text()
    assert '<a href="#corruptions">' in page and "error, gaussian_noise" in page


def test_own_images_and_a_tflite_file_with_its_source(artifacts, tmp_path):
    test = data.load("digits", "test").take(30)
    np.savez(tmp_path / "own.npz", images=test.floats(), labels=test.labels)
    arguments = (
        f"--save_adversarial={tmp_path / 'images'}",
        "--pixels=uint8",
        f"--model={artifacts.float32}",
        f"--source={artifacts.model}",
        f"--dataset={tmp_path / 'own.npz'}",
    )
    _, report = evaluate(tmp_path / "report", *arguments, *ATTACKS)
    assert len(list((tmp_path / "images").glob("*/*/*.png"))) == 2 * 30
    assert [row["source"] for row in report["attacks"]] == [str(artifacts.model)] * 2
    assert report["attacks"][1]["success_rate"] > 0.8 and report["attacks"][1]["rho_2"] is None
    # The files are what fools the model: their folder is a data set.
    (first, _) = sorted((tmp_path / "images").iterdir())
    _, again = evaluate(tmp_path / "again", f"--model={artifacts.float32}", f"--dataset={first}", "--noactive_checks")
    assert again["clean_accuracy"] == report["attacks"][0]["robust_accuracy_uint8"]
