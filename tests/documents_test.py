"""What documents show runs: every block of Python, every flag of every command, the notebooks, and the site without a warning.

The commands of the README and of most pages run in tests/wheel_test.py; those of deployment, device, fleet and serve_and_attack in tests of theirs.
"""

import json
import pathlib
import shlex
import subprocess
import sys

import pytest

import tfrobust
from tests.support import pages, programs
from tfrobust import attacks

PAGES = ["README.md", *sorted(str(path.relative_to(programs.ROOT)) for path in (programs.ROOT / "docs").glob("*.md"))]
RUN_ELSEWHERE = (  # results.md keeps commands as they were run then
    "docs/results.md",
    "README.md",
    *(f"docs/{name}.md" for name in pages.OF_COMMANDS),
    "docs/quickstart.md",  # has those of the README
    "docs/deployment.md",
    "docs/device.md",
    "docs/fleet.md",
    "docs/serve_and_attack.md",
)
NOTEBOOKS = sorted((programs.ROOT / "docs" / "notebooks").glob("*.ipynb"))
WITH_PYTHON = [
    name for name in PAGES if name != "README.md" and any(block.language == "python" for block in pages.blocks(name))
]
BEGINNING = """
import keras, numpy as np, tensorflow as tf
import tfrobust as tfr
test = tfr.data.load("digits", "test").take(20)
images, labels, attacks = test.floats(), test.labels, "fgsm(linf(0.1))"
"""
STAGES = {  # what a page takes for granted, or a shorter form of what it does
    "docs/models.md": """
model = tfr.models.lenet()
ask_server = lambda pixels: tfr.models.lenet()(pixels / 255.0).numpy()
class Exported(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 28, 28, 1])])
    def predict(self, images):
        return {"scores": model(images)}
exported = Exported()
exported.model = model
tf.saved_model.save(exported, "exported", signatures={"predict": exported.predict})
""",
    "docs/ace.md": """
tfr.models.build("resnet18", width=4).save("efficientnet.keras")
photographs, labels = np.random.default_rng(0).random([8, 32, 32, 3], "float32"), np.arange(8)
""",
    "docs/write_an_attack.md": """
import pathlib
pathlib.Path("runs/quickstart/plain").mkdir(parents=True)
tfr.models.lenet().save("runs/quickstart/plain/model.keras")
""",
}


def run(code, folder):
    """Runs Python in a fork, in a folder, with short trainings on few digits."""
    path = folder / "code.py"
    path.write_text(pages.shortened(code))
    process = programs.run_code(f"import os, runpy; os.chdir({str(folder)!r}); runpy.run_path('code.py')")
    assert process.returncode == 0, process.stderr[-3000:]


@pytest.mark.parametrize("name", WITH_PYTHON)
def test_the_python_of_a_page_runs(name, tmp_path):
    code = [block.text for block in pages.blocks(name) if block.language == "python"]
    run("\n".join([BEGINNING, STAGES.get(name, ""), *code]), tmp_path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_stands_there_with_what_it_printed(path, tmp_path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    run("\n".join("".join(cell["source"]) for cell in cells), tmp_path)


def commands():
    """Commands that no other test runs: page and text."""
    for name in PAGES:
        if name not in RUN_ELSEWHERE:
            for block in pages.blocks(name):
                words = shlex.split(block.text.replace("...", ""), comments=True) if block.language == "command" else []
                if words[:2] == ["python", "-m"] and words[2].partition(".")[0] in ("trainers", "export"):
                    yield pytest.param(words[2:], id=f"{pathlib.Path(name).stem}: {' '.join(words[2:4])[:60]}")


@pytest.mark.parametrize("words", list(commands()))
def test_a_command_of_a_page_is_understood(words):
    """Its program knows its flags, and the library its attacks and its flagfiles."""
    process = programs.run(*words, "--only_check_args")
    assert process.returncode == 0, process.stderr[-2000:]
    for word in words:
        if word.startswith("--attack=") and "patch" not in word and ".npy" not in word:
            attacks.parse(word.removeprefix("--attack="))


def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    options = ("--fail-on-warning", "--keep-going", "--quiet", "-b", "html")
    process = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "docs", str(tmp_path)],
        cwd=programs.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert "minimal_perturbation" in (tmp_path / "api" / "attacks.html").read_text()
    documented = {path.stem for path in (programs.ROOT / "docs" / "api").glob("*.md")}
    assert documented == {"index", *tfrobust._MODULES}
