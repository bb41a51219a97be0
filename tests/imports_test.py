"""Who may import whom, as the design says."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def imported(path):
    """The top packages, and `tfrobust.cli`, that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]
            if node.module.startswith("tfrobust.cli") or (node.module, node.names[0].name) == ("tfrobust", "cli"):
                yield "tfrobust.cli"


@pytest.mark.parametrize(
    "folder, forbidden",
    [
        ("tfrobust", {"trainers", "export", "benchmarks", "tests"}),
        ("trainers", {"export", "benchmarks", "tests"}),
        ("export", {"trainers", "benchmarks", "tests"}),
    ],
)
def test_programs_build_on_the_library_and_not_on_each_other(folder, forbidden):
    for path in (ROOT / folder).rglob("*.py"):
        assert not forbidden & {*imported(path)}, path


def test_of_the_library_only_cli_knows_flags():
    for path in (ROOT / "tfrobust").rglob("*.py"):
        if "cli" not in path.parts and path.name != "__main__.py":
            assert not {"absl", "tfrobust.cli"} & {*imported(path)}, path


def test_of_the_programs_only_those_that_run_and_those_that_define_flags_know_them():
    """What they pass on are frozen values."""
    programs = {"trainers/cifar.py", "trainers/evaluate.py", "trainers/mnist.py", "trainers/transfer.py"}
    programs |= {
        f"trainers/{name}.py"
        for name in ("analyze", "certify", "compare", "imagenet", "patch", "scenarios", "study", "sweep")
    }
    programs |= {"export/device_pack.py", "export/saved_model.py", "export/tflite.py", "export/verify.py"}
    paths = [path.relative_to(ROOT) for folder in ("trainers", "export") for path in (ROOT / folder).rglob("*.py")]
    know = {str(path) for path in paths if "absl" in imported(ROOT / path)}
    assert {path for path in know - programs if not path.endswith("_flags.py")} == set()
