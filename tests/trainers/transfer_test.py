"""`trainers.transfer` as its users run it."""

import json

from tests.support import programs

ATTACK = "--attack=pgd(linf(0.05), steps=3)"


def test_defense_rates_of_exported_models_stand_beside_the_sources_own(artifacts, tmp_path):
    """On the source itself the rate is what a white-box attack leaves, and its exact export agrees."""
    command = (f"--source={artifacts.model}", f"--model={artifacts.model}", f"--model={artifacts.float32}", ATTACK)
    output = programs.succeed("trainers.transfer", *command, "--examples=60", f"--output={tmp_path}")
    page = (tmp_path / "report.html").read_text()
    assert "withstands" in page and "Defense rate" in page and "python -m trainers.transfer" in page
    rows = json.loads((tmp_path / "report.json").read_text())["defense_rates"]
    assert [row["model"] for row in rows] == [str(artifacts.model), str(artifacts.float32)]
    assert rows[0]["defense_rate"] == rows[0]["source_robust_accuracy"] == rows[1]["defense_rate"] < 1
    sources = [
        f"--source={artifacts.model}",
        f"--source={artifacts.saved_model}",
        f"--model={artifacts.float32}",
        ATTACK,
    ]
    programs.succeed("trainers.transfer", *sources, "--examples=60", f"--output={tmp_path / 'one'}")
    engine = ["--engine=local", "--workers=2"]
    programs.succeed("trainers.transfer", *sources, "--examples=60", f"--output={tmp_path / 'two'}", *engine)
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("one", "two")]
    assert reports[0] == reports[1]  # each source in a process of its own changes nothing
    assert (tmp_path / "transfer.png").read_bytes().startswith(b"\x89PNG")
    assert f"{ATTACK.removeprefix('--attack=')} from {artifacts.model}" in output


def test_no_attack_is_refused_and_a_tflite_file_may_be_the_source(artifacts):
    command = (f"--source={artifacts.float32}", f"--model={artifacts.model}", "--examples=10")
    process = programs.run("trainers.transfer", *command)
    assert process.returncode == 2 and "at least one --attack" in programs.errors(process)[0]
    assert f"from {artifacts.float32}" in programs.succeed("trainers.transfer", *command, ATTACK)
