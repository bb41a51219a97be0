"""The commands of docs/deployment.md, as a reader types them."""

import re
import shlex

import pytest

from tests.support import programs

TEXT = (programs.ROOT / "docs/deployment.md").read_text()


def commands():
    """The commands of the page that start a program, without the training, as lists of words."""
    blocks = re.findall(r"^    (python -m (?:.*\\\n)*.*)", TEXT, re.MULTILINE)
    found = [shlex.split(block.replace("\\\n", " ")) for block in blocks]
    return [words[2:] for words in found if words[2] != "trainers.mnist"]


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
    assert said.startswith("verdict: passed")
    for words in (
        "on adversarial images its logits differ",
        "its files are those of its manifest",
        "its own gradients leave",
        "finds an image on which it is wrong and the reference right",
        "threads, XNNPACK and the batch move its logits",
        "beside the float32 file, ",
        "those that still do on their way to it",
        "Robust accuracy by who is attacked and who is shown it",
    ):
        assert words in said
