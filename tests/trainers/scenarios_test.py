"""`trainers.scenarios` as its users run it."""

import json

import pytest

from tests.support import programs

ATTACK = "--attack=fgsm(linf(0.05))"


def test_prints_the_table_and_writes_the_report(artifacts, tmp_path):
    what = ("--scenario=vanilla,adaptive", "--shifts=1,2", "--examples=40", ATTACK, "--noactive_checks")
    said = programs.succeed("trainers.scenarios", f"--model={artifacts.model}", *what, f"--output={tmp_path}")
    report = json.loads((tmp_path / "report.json").read_text())
    pairs = [(row["scenario"], row["defense"]) for row in report["rows"]]
    shifts = ["pixel_shift(1, right)", "pixel_shift(2, right)"]
    assert pairs == [(scenario, shift) for scenario in ("vanilla", "adaptive") for shift in shifts]
    assert len(report["headline"]) == 2 and "lowest of " in said and "fgsm(linf(0.05))" in said


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--scenario=white_box",), "there are the scenarios vanilla"),
        (("--shifts=one",), "--shifts takes numbers of pixels"),
        (("--shifts=0",), "pixels must be a whole number of at least 1"),
        (("--attack=pdg()",), "pdg"),
        (("--lam=0.5",), "--lam=0.5: lenet has no ACE module"),
        (("--model=missing.keras",), "missing.keras: no such file"),
        (("--defense=pixel_deflection",), "has no class activation maps"),
    ],
)
def test_wrong_use_ends_in_one_line(artifacts, flags, said):
    process = programs.run("trainers.scenarios", f"--model={artifacts.model}", "--examples=10", *flags)
    assert process.returncode == 2 and said in programs.errors(process)[0], process.stderr[-500:]
