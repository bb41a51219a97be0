"""`trainers.study` and `trainers.sweep` as their users run them."""

import json
import shutil

import pytest

from tests.support import programs
from tfrobust import files


def test_a_study_of_two_models_goes_on_where_it_was(artifacts, tmp_path):
    models = (f"--model={artifacts.model}", f"--model={artifacts.float32}", "--examples=50", f"--output={tmp_path}")
    said = programs.succeed("trainers.study", "--what=noise", "--sigmas=8,64", *models)
    assert "sigma 64" in said and said.splitlines()[0].split() == ["noise", "run/model.keras", artifacts.float32.name]
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert [row["sigma"] for row in rows] == [0, 8, 64] * 2
    assert (tmp_path / "study.csv").read_text().count("\n") == 7 and (tmp_path / "study.png").stat().st_size > 1000
    first, *_ = sorted((tmp_path / "finished").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    kept = json.loads(first.read_text())
    kept[0]["accuracy"] = 0.125
    with files.written(first) as path:
        path.write_text(json.dumps(kept))
    programs.succeed("trainers.study", "--what=noise", "--sigmas=8,64", *models)
    assert json.loads((tmp_path / "report.json").read_text())["rows"][0]["accuracy"] == 0.125  # not measured again
    programs.succeed("trainers.study", "--what=noise", "--sigmas=8,64", *models, "--seed=1")
    assert json.loads((tmp_path / "report.json").read_text())["rows"][0]["accuracy"] != 0.125


def test_a_white_box_study_takes_its_reference_from_a_model_and_its_seeds_are_one_row(artifacts, tmp_path):
    shutil.copy(artifacts.model, tmp_path / "1.keras"), shutil.copy(artifacts.model, tmp_path / "2.keras")
    models = (f"--model={artifacts.model}", f"--model={tmp_path}/*.keras")
    said = programs.succeed("trainers.study", "--what=white_box", *models, "--examples=40", f"--output={tmp_path}")
    radius = float(said.split("eps_ref ")[1].split(",")[0])
    table = said[said.index("white box") :].splitlines()
    assert table[0].endswith("*.keras") and "accuracy" in table[2]
    numbers = {line.rsplit(maxsplit=2)[0].strip(): line.split()[-2:] for line in table[3:-1]}
    assert numbers["fgsm_radius_at_half"][0] == f"{radius:.4f}" and "deepfool() psnr" in numbers
    assert all(of_one == of_mean for of_one, of_mean in numbers.values())  # both are copies of it
    assert len(json.loads((tmp_path / "report.json").read_text())["of_each_model"]) == 3


def test_a_sweep_trains_once_for_each_value_and_once_alone(tmp_path):
    training = "trainers.mnist --dataset=digits --model=mlp --batch_size=300 --epochs=1"
    sweep = ("--flag=learning_rate", "--values=0.001,0.1", f"--output={tmp_path}")
    said = programs.succeed("trainers.sweep", f"--program={training}", *sweep)
    assert "rho_2" in said and (tmp_path / "sweep.csv").read_text().count("\n") == 3
    for picture in ("sweep.png", "epochs.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/model.keras")}
    assert len(made) == 2
    assert (
        programs.succeed("trainers.sweep", f"--program={training}", *sweep).splitlines()[-3:-1]
        == said.splitlines()[-3:-1]
    )
    assert made == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/model.keras")}
    process = programs.run("trainers.sweep", f"--program={training} --seed=1", *sweep)
    assert process.returncode == 2 and "holds a run of another --program" in programs.errors(process)[0]


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--what=noise", "--sigmas=much"), "--sigmas must be numbers"),
        (("--what=white_box", "--reference=lenet"), "neither a number nor one of the models"),
        (("--what=patch_shuffle", "--grids=5"), "5 x 5 patches do not divide"),
        (("--what=noise", "--model=runs/*.missing"), "matches no file"),
        (("--what=noise", "--confidence=1.0"), "no image is classified by every model"),
    ],
)
def test_wrong_use_of_a_study_ends_in_one_line(artifacts, flags, said):
    process = programs.run("trainers.study", f"--model={artifacts.model}", "--examples=10", *flags)
    assert process.returncode == 2 and said in programs.errors(process)[-1], process.stderr[-500:]


def test_wrong_use_of_a_sweep_ends_in_one_line(tmp_path):
    sweep = ("--flag=seed", "--values=0,1", f"--output={tmp_path / 'sweep'}")
    process = programs.run("trainers.sweep", "--program=train", *sweep)
    assert process.returncode == 2 and "must begin with a trainer" in programs.errors(process)[0]
    process = programs.run("trainers.sweep", "--program=trainers.mnist --epochs=-1", *sweep)
    assert process.returncode == 2 and "failed, as it says above" in programs.errors(process)[-1]
