"""A real Bazel loads every BUILD file. Its Python rules and the third-party packages are stubs: nothing is downloaded.

Bazel comes from npm and is kept in the user's cache; without npm this is skipped.
"""

import ast
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TOPS = [path.parent.name for path in ROOT.glob("*/__init__.py")]
BAZEL = "@bazel/bazel-linux_x64@2.1.0"  # the last that npm has whole; the later ones download Bazel when they run
WORKSPACE = """
local_repository(name = "rules_python", path = "stubs/rules_python")
local_repository(name = "pypi", path = "stubs/pypi")
"""
RULE = """
def _nothing(context):
    return []

files = attr.label_list(allow_files = True)
attributes = {{"srcs": files, "data": files, "deps": attr.label_list(), "main_module": attr.string()}}
{rule} = rule(implementation = _nothing, attrs = attributes)
"""
# A test depends on what Bazel would download to run it, so what it imports is asked of a library beside it.
TEST_RULE = """
load(":py_library.bzl", "py_library")

def py_test(name, srcs, main_module, size, args, tags, deps, data):
    native.py_test(name = name, srcs = srcs, main = srcs[0], size = size, args = args, tags = tags)
    py_library(name = name + ".imports", data = data, deps = deps, testonly = True)
"""
# They read the whole checkout, which Bazel does not show them.
MANUAL = {
    *("//tests:bazel_test", "//tests:build_test", "//tests:documents_test", "//tests:wheel_test"),
    *("//tests/export:deployment_test", "//tests/targets/serving:servers_test"),
    *(
        "//tests/targets/serving:serve_and_attack_test",
        "//tests/export:device_pack_test",
        "//tests/trainers:fleet_test",
    ),
}


@pytest.fixture(scope="module")
def bazel():
    """The path of a Bazel."""
    if not shutil.which("npm"):
        pytest.skip("npm, from which Bazel comes, is not installed")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "tfrobust" / "bazel"
    if not list(cache.rglob("bazel-2.1.0-linux-*")):
        command = ["npm", "install", "--no-audit", "--no-fund", f"--prefix={cache}", BAZEL]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode:
            pytest.skip(f"npm cannot install {BAZEL}: {process.stderr[-300:]}")
    (path,) = cache.rglob("bazel-2.1.0-linux-*")
    return path


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A copy of the checkout's packages, and stubs of what MODULE.bazel takes from elsewhere."""
    folder = tmp_path_factory.mktemp("bazel")
    skipped = shutil.ignore_patterns("__pycache__")
    for top in TOPS:
        shutil.copytree(ROOT / top, folder / top, ignore=skipped)
    for name in ("BUILD", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    write(folder / "WORKSPACE", WORKSPACE)
    rules = folder / "stubs" / "rules_python"
    write(rules / "WORKSPACE", "")
    write(rules / "python" / "BUILD", "")
    write(rules / "python" / "py_test.bzl", TEST_RULE)
    for rule in ("py_library", "py_binary"):
        write(rules / "python" / f"{rule}.bzl", RULE.format(rule=rule))
    write(folder / "stubs" / "pypi" / "WORKSPACE", "")
    for name in {
        name for path in folder.rglob("BUILD") for name in re.findall("@pypi//([a-z0-9_]+)", path.read_text())
    }:
        write(
            folder / "stubs" / "pypi" / name / "BUILD",
            f'filegroup(name = "{name}", visibility = ["//visibility:public"])',
        )
    write(folder / ".bazelignore", "stubs")
    return folder


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture(scope="module")
def query(bazel, workspace, tmp_path_factory):
    """A function of a query: what answers it, label -> kind such as "source file"."""
    root = tmp_path_factory.mktemp("output_user_root")

    def ask(expression):
        start = [bazel, "--nohome_rc", "--nosystem_rc", "--batch", f"--output_user_root={root}"]
        command = [*start, "query", "--noshow_progress", "--order_output=no", "--output=label_kind", expression]
        process = subprocess.run(command, cwd=workspace, capture_output=True, text=True, timeout=300, check=False)
        assert process.returncode == 0, process.stderr[-3000:]
        return {label: kind for kind, label in (line.rsplit(" ", 1) for line in process.stdout.splitlines())}

    return ask


def targets(pattern):
    """The target that each file should have: its own name, or the folder's for an `__init__.py` with code in it."""
    paths = [path for top in TOPS for path in (ROOT / top).rglob(pattern)]
    for path in paths:
        folder = path.parent.relative_to(ROOT).as_posix()
        code = [node for node in ast.parse(path.read_text()).body if not isinstance(node, ast.Expr)]
        if path.name != "__init__.py" or code:
            yield f"//{folder}:{path.parent.name if path.name == '__init__.py' else path.stem}"


def test_every_module_has_a_target_and_every_dependency_is_one(query, workspace):
    """`deps` fails where one is missing in another folder; in the same folder, Bazel takes it for a file."""
    found = query('//... + deps(kind("py_library rule", //...))')
    rules = {name for name, kind in found.items() if kind in ("py_library rule", "py_test rule")}
    assert {name for name in rules if not name.endswith(".imports")} == {*targets("*.py")}
    files = [name.removeprefix("//").replace(":", "/") for name, kind in found.items() if kind == "source file"]
    assert "tfrobust/balls.py" in files and "trainers/configs/mnist_lenet.flags" in files
    assert [name for name in files if not (workspace / name.removeprefix("/")).exists()] == []


def test_the_root_has_the_programs_and_a_suite_of_all_tests(query):
    """But for the tests that Bazel cannot run."""
    found = query('tests(//:tests) + kind("py_binary rule", //...)')
    tests = {name for name, kind in found.items() if kind == "py_test rule"}
    assert tests == {*targets("*_test.py")} - MANUAL
    programs = {"trainers.mnist", "trainers.evaluate", "export.saved_model", "export.tflite", "export.verify"}
    assert {f"//:{name}" for name in programs} <= found.keys() - tests
