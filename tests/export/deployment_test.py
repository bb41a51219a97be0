"""The commands of docs/deployment.md, as a reader types them."""

import html
import itertools
import json
from xml.etree import ElementTree

import pytest

from tests.support import pages, programs


def commands():
    """The commands of the page that start a program, without the training, as lists of words."""
    return [words[2:] for words in pages.commands("deployment.md", "python -m") if words[2] != "trainers.mnist"]


@pytest.fixture(scope="module")
def ran(artifacts, tmp_path_factory):
    """What each program printed, by its name, and the folder that is called `deploy` on the page."""
    folder = tmp_path_factory.mktemp("deploy")
    (folder / "digits.txt").write_text("\n".join(map(str, range(10))))
    printed = {}
    for program, *arguments in commands():
        words = [
            word.replace("runs/lenet/model.keras", str(artifacts.model)).replace("deploy/", f"{folder}/")
            for word in arguments
        ]
        printed.setdefault(program, []).append(programs.succeed(program, *words))
    return printed, folder


def test_every_program_of_the_page_ends_well(ran):
    printed, folder = ran
    assert list(printed) == ["export.saved_model", "export.tflite", "export.verify", "trainers.evaluate"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "digits.txt",
        "lenet.tflite",
        "lenet_int8.tflite",
        "models",
        "serving",
        "verify",
    ]


def test_the_exporter_says_how_the_model_is_served(ran):
    printed, folder = ran
    assert printed["export.saved_model"][0].splitlines()[-1].startswith("serving: docker run --rm -p 8500:8500")
    assert str(folder / "models") in printed["export.saved_model"][0]
    files = ["batching.config", "compose.yaml", "kubernetes.yaml", "models.config", "monitoring.config"]
    assert sorted(path.name for path in (folder / "serving").iterdir()) == files


def test_verify_says_all_that_the_page_says_it_does(ran):
    (said,) = ran[0]["export.verify"]
    assert said.startswith("verdict: passed") and "Attacks made on the artifact itself" in said
    assert max(len(line) for line in said.splitlines() if not line.startswith("report: ")) <= 100
    page = html.unescape((ran[1] / "verify" / "report.html").read_text())
    for words in (
        "on adversarial images its logits differ",
        "its files are those of its manifest",
        "its constants are the reference's, rounded to its precision",
        "its own gradients leave",
        "finds an image on which it is wrong and the reference right",
        "threads, XNNPACK and the batch move its logits",
        "beside the float32 file, ",
        "those that still do on their way to it",
        "Robust accuracy by who is attacked and who is shown it",
    ):
        assert words in page


def test_the_report_has_every_attack_on_every_artifact(ran, artifacts):
    folder = ran[1]
    report = json.loads((folder / "verify/report.json").read_text())
    saved, float32, int8 = report["artifacts"]
    assert report["failures"] == [] and report["model"] == str(artifacts.model) and report["verdict"] == "passed"
    assert saved["flip_rate"] == float32["flip_rate"] == 0 and int8["flip_rate"] <= 0.02
    assert saved["attacks"][0]["source"] is None and saved["attacks"][1]["source"] == str(artifacts.model)
    transferred, own, square, hop_skip_jump = int8["attacks"]
    assert transferred["source"] == str(artifacts.model) and transferred["examples"] == 100
    assert own["source"] is None and own["attack"] == transferred["attack"] and own["examples"] == 20
    assert square["attack"] == "square(linf(0.1), queries=50)" and square["queries"] < 55
    assert "hop_skip_jump(linf" in hop_skip_jump["attack"]
    assert int8["precision"] == "int8" and int8["conformance"]["adversarial"]["relative_rms"] < 0.015
    assert saved["manifest"] == [] and int8["manifest"] is None
    reference = report["attacks"][0]["robust_accuracy"]
    assert saved["attacks"][0]["robust_accuracy"] == pytest.approx(reference, abs=0.01)


def test_the_matrix_has_every_model_as_source_and_as_victim(ran, artifacts):
    report = json.loads((ran[1] / "verify/report.json").read_text())
    names = [str(artifacts.model), *(artifact["model"] for artifact in report["artifacts"])]
    assert [(row["source"], row["model"]) for row in report["matrix"]] == [*itertools.product(names, names)]
    own = report["artifacts"][-1]["attacks"][1]["robust_accuracy"]
    assert report["matrix"][-1]["robust_accuracy"] == own


def test_the_page_and_junit_say_the_verdict(ran):
    folder = ran[1] / "verify"
    page = (folder / "report.html").read_text()
    assert "Verdict: passed, 15 of 15" in page
    for artifact in json.loads((folder / "report.json").read_text())["artifacts"]:
        assert f"{artifact['size'] / 1e6:.2f} MB" in page and f"{artifact['milliseconds']:.2f} ms" in page
    assert len(ElementTree.parse(folder / "junit.xml").findall(".//testcase")) == 15
