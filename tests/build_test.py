"""BUILD follows from the sources: this test compares it, and `python tests/build_test.py` writes it.

Every module has a target of the same dotted name, whose dependencies are what the file imports: an import of `a.b.c`
depends on the target of the top package `a` and on that of the module. The packages between are left out, since their
`__init__.py` often imports the very modules that they hold, and Bazel allows no cycles.
"""

import ast
import difflib
import graphlib
import pathlib
import re
import sys

import tfrobust

ROOT = pathlib.Path(__file__).parents[1]
LAZY = {f"tfrobust.{name}": f"tfrobust.{module}" for name, module in tfrobust._NAMES.items()}
NEEDS = {  # the distributions behind an import, unless it is the one of the same name; () for one that is not pinned
    "absl": ("absl_py",),
    "art": (),  # benchmarks/peers installs its own
    "cleverhans": (),
    "foolbox": (),
    "keras": ("keras", "tensorflow"),  # its back end, which it does not declare
    "keras.callbacks.TensorBoard": ("tensorboard",),  # likewise
    "sklearn": ("scikit_learn",),
    "tensorflow_datasets": ("importlib_resources", "tensorflow_datasets"),  # likewise
    "tensorflow_serving": (),
}
DATA = {
    "tests": ["pyproject.toml"],  # pytest's settings
    "tests.benchmarks.peers_test": ["benchmarks/peers/requirements.txt", "constraints.txt"],
    "tests.build_test": [
        "BUILD",
        "constraints.txt",
        *sorted(f"{top.parent.name}/**/*.py" for top in ROOT.glob("*/__init__.py")),
    ],
    "trainers": ["trainers/configs/*.flags"],
}
HEADER = '''"""One target per Python module: `python tests/build_test.py` writes this file from their imports."""

load("@rules_python//python:py_binary.bzl", "py_binary")
load("@rules_python//python:py_library.bzl", "py_library")
load("@rules_python//python:py_test.bzl", "py_test")

package(default_visibility = ["//visibility:public"])
'''


def modules():
    """Dotted name -> files. A package is its `__init__.py`; an empty one goes with the package at the top."""
    found = {top.parent.name: [f"{top.parent.name}/__init__.py"] for top in sorted(ROOT.glob("*/__init__.py"))}
    for top in list(found):
        for path in sorted((ROOT / top).rglob("*.py")):
            file = path.relative_to(ROOT)
            if path.name != "__init__.py":
                found[".".join(file.with_suffix("").parts)] = [file.as_posix()]
            elif len(file.parts) > 2:
                found.setdefault(".".join(file.parent.parts) if path.stat().st_size else top, []).append(
                    file.as_posix()
                )
    return found


def imports(source, known):
    """The dotted names that a file imports anywhere, takes from the lazy `tfrobust`, or has in a string for `-m`."""
    names, aliases = set(), set()
    for node in ast.walk(ast.parse(source)):  # breadth first: `import tfrobust as tfr` comes before its uses
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
            aliases |= {alias.asname or alias.name for alias in node.names if alias.name == "tfrobust"}
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in aliases:
            names.add(f"tfrobust.{node.attr}")
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in NEEDS:
            names.add(ast.unparse(node))
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value and node.value in known
        ):
            names.add(node.value)
    return names


def dependencies(name, files, known):
    """The labels of what a module imports; of a test also its packages, their `conftest`, and pytest, which runs it."""
    imported = imports("\n".join((ROOT / file).read_text() for file in files), known)
    if name.endswith("_test"):
        parents = [".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)]
        imported |= {"pytest", *parents, *(known.keys() & {f"{parent}.conftest" for parent in parents})}
    pinned = re.findall(r"^[\w.-]+", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    pinned = {re.sub(r"[-.]", "_", distribution).lower() for distribution in pinned}
    labels = set()
    for dotted in imported:
        top, module = dotted.split(".")[0], LAZY.get(dotted, dotted)
        if top in known:
            while module not in known:
                module = module.rpartition(".")[0]
            labels |= {f":{top}", f":{module}"}
        elif top not in sys.stdlib_module_names:
            distributions = set(NEEDS.get(dotted, NEEDS.get(top, (top,))))
            lacking = ", ".join(distributions - pinned)
            assert not lacking, f"{files[-1]} imports {dotted}: pin {lacking} in constraints.txt, or see NEEDS here"
            labels |= {f"@pypi//{distribution}" for distribution in distributions}
    return sorted(labels - {f":{name}"}, key=lambda label: (label[0] == "@", label.split(".")))


def quoted(items):
    """A list as buildifier formats it."""
    if len(items) == 1:
        return f'["{items[0]}"]'
    return "".join(["[\n", *(f'        "{item}",\n' for item in items), "    ]"])


def target(name, files, labels):
    """The call that declares a target, as buildifier formats it."""
    test = name.endswith("_test")
    program = not test and 'if __name__ == "__main__":' in (ROOT / files[-1]).read_text()
    patterns = [file for file in DATA.get(name, []) if "*" in file]
    plain = [file for file in DATA.get(name, []) if "*" not in file]
    attributes = {
        "name": f'"{name}"',
        "size": test and ('"small"' if {"@pypi//pytest", ":tests", ":tfrobust"}.issuperset(labels) else '"medium"'),
        "testonly": not test and name.split(".")[0] == "tests" and "True",
        "srcs": quoted(files),
        "args": test and quoted(files),
        "data": " + ".join([quoted(plain)] * bool(plain) + [f"glob({quoted(patterns)})"] * bool(patterns)),
        "imports": not test and not program and '["."]',
        "main": program and f'"{files[-1]}"',
        "main_module": test and '"pytest"',
        "deps": labels and quoted(labels),
    }
    lines = [f"    {key} = {value},\n" for key, value in attributes.items() if value]
    return "".join(["py_test" if test else "py_binary" if program else "py_library", "(\n", *lines, ")\n"])


def build():
    """The text of BUILD."""
    known = modules()
    labels = {name: dependencies(name, files, known) for name, files in known.items()}
    graphlib.TopologicalSorter({f":{name}": needed for name, needed in labels.items()}).prepare()  # raises for a cycle
    return "\n".join([HEADER, *(target(name, files, labels[name]) for name, files in sorted(known.items()))])


def test_build_follows_from_the_sources():
    written, expected = (ROOT / "BUILD").read_text().splitlines(), build().splitlines()
    difference = difflib.unified_diff(written, expected, "BUILD", "BUILD as the sources want it", lineterm="")
    assert written == expected, "\n".join(["python tests/build_test.py rewrites BUILD:", *difference])


if __name__ == "__main__":
    (ROOT / "BUILD").write_text(build())
