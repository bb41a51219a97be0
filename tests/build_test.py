"""The BUILD files follow from the sources: this test compares them, and `python tests/build_test.py` writes them.

A folder's BUILD has a target for each of its modules, named as the file, and one for its `__init__.py`, named as the
folder, if there is code in it. A target depends on what its file imports: an import of `a.b.c` on that module, not on the
packages above, since their `__init__` often imports the very modules that they hold, and Bazel allows no cycles. Where
an `__init__.py` is missing, Bazel's Python rules make an empty one. The BUILD of the root has the programs and the suite
of all tests.
"""

import ast
import difflib
import functools
import graphlib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parents[1]
TOPS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
NEEDS = {  # the distributions behind an import, unless it is the one of the same name; () for one that is not pinned
    "PIL": ("pillow",),
    "absl": ("absl_py",),
    "art": (),  # benchmarks/peers installs its own
    "autoattack": (),  # benchmarks/original_autoattack takes a checkout
    "cleverhans": (),
    "cv2": ("opencv_python_headless",),
    "foolbox": (),
    "kserve": (),  # tests/targets/serving installs its own
    "google": ("protobuf",),
    "grpc": ("grpcio",),
    "keras": ("keras", "tensorflow"),  # its back end, which it does not declare
    "keras.callbacks.TensorBoard": ("tensorboard",),  # likewise
    "ovmsclient": (),  # likewise
    "pandas": (),
    "sklearn": ("scikit_learn",),
    "torch": (),  # benchmarks/optimality installs its own
    "torchattacks": (),
    "tensorflow_datasets": ("importlib_resources", "tensorflow_datasets"),  # likewise
    "tflite_runtime": (),  # instead of ai_edge_litert, on a device
    "tensorflow_serving": ("tensorflow_serving_api",),
    "yaml": ("pyyaml",),
}
DATA = {
    "benchmarks/peers/environment.py": ["requirements.txt", "//:constraints.txt"],
    "export/device/page.py": ["page/*"],
    "export/device/pack.py": ["run.py"],
    "tfrobust/evaluation/render/page.py": ["templates/*"],
    "tests/support/browser.py": ["browser.mjs"],
    "tests/export/serving_test.py": ["run_saved_model.c"],
    "tests/support/servers/environments.py": ["*_requirements.txt"],
    "trainers/training_flags.py": ["configs/*.flags"],
}
EXPORTS = """exports_files([
    "constraints.txt",
    "pyproject.toml",
])
"""
PYTEST = {"//tests:conftest", "@pypi//pytest"}  # what `pytest_test` adds by itself
# They read the whole checkout, which Bazel does not show them, or install servers under its runs/.
MANUAL = {
    *("tests/bazel_test.py", "tests/build_test.py", "tests/documents_test.py", "tests/wheel_test.py"),
    *("tests/export/deployment_test.py", "tests/targets/serving/servers_test.py"),
    *(
        "tests/targets/serving/serve_and_attack_test.py",
        "tests/export/device_pack_test.py",
        "tests/trainers/fleet_test.py",
    ),
}
RULES = {
    "py_binary": "@rules_python//python:py_binary.bzl",
    "py_library": "@rules_python//python:py_library.bzl",
    "pytest_test": "//tests:pytest_test.bzl",
}


def modules():
    """Dotted name -> file, of all but the `__init__.py` without code."""
    found = {}
    for file in sorted(path.relative_to(ROOT) for top in TOPS for path in (ROOT / top).rglob("*.py")):
        if file.name != "__init__.py":
            found[".".join(file.with_suffix("").parts)] = file
        elif not all(isinstance(node, ast.Expr) for node in ast.parse((ROOT / file).read_text()).body):
            found[".".join(file.parent.parts)] = file
    return found


def label(file):
    """The target of a file: its folder's own for an `__init__.py`."""
    folder = file.parent.as_posix()
    return f"//{folder}" if file.name == "__init__.py" else f"//{folder}:{file.stem}"


@functools.cache
def lazy_names():
    """What `tfrobust` takes from its modules when it is asked for it: dotted name -> module."""
    for node in ast.parse((ROOT / "tfrobust/__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_NAMES":
            return {f"tfrobust.{name}": f"tfrobust.{module}" for name, module in ast.literal_eval(node.value).items()}
    return {}


def imports(tree, known):
    """The dotted names that a file imports anywhere, takes from the lazy `tfrobust`, or has in a string for `-m`."""
    names, aliases = set(), set()
    for node in ast.walk(tree):  # breadth first: `import tfrobust as tfr` comes before its uses
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"write the import from .{node.module or ''} in full"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
            aliases |= {alias.asname or alias.name for alias in node.names if alias.name == "tfrobust"}
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in aliases:
            names.add(f"tfrobust.{node.attr}")
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in NEEDS:
            names.add(ast.unparse(node))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            names |= {node.value} & known.keys()
    return names


@functools.cache
def pinned():
    """The distributions in constraints.txt, as their targets are called."""
    names = re.findall(r"^[\w.-]+", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    return {re.sub(r"[-.]", "_", name).lower() for name in names}


def dependencies(file, tree, known):
    """The labels of what a module imports; of a test also every `conftest.py` above it, and pytest, which runs it."""
    labels = set()
    for dotted in imports(tree, known):
        top, module = dotted.split(".")[0], lazy_names().get(dotted, dotted)
        if top in TOPS:
            while module and module not in known:  # a name in a module, or `*`
                module = module.rpartition(".")[0]
            labels |= {label(known[name]) for name in [module] + [top] * (dotted in lazy_names()) if name in known}
        elif top not in sys.stdlib_module_names:
            distributions = set(NEEDS.get(dotted, NEEDS.get(top, (top,))))
            lacking = ", ".join(distributions - pinned())
            assert not lacking, f"{file} imports {dotted}: pin {lacking} in constraints.txt, or see NEEDS here"
            labels |= {f"@pypi//{distribution}" for distribution in distributions}
    if file.stem.endswith("_test"):
        labels |= {"@pypi//pytest", *(label(conftest) for conftest in conftests(file))}
    return labels - {label(file)}


def conftests(file):
    return [folder / "conftest.py" for folder in file.parents if (ROOT / folder / "conftest.py").exists()]


def quoted(labels, folder=None):
    """A list as buildifier formats and sorts it, with targets of `folder` written as it writes them there."""
    here = {f"//{folder}": f":{pathlib.PurePath(folder or '').name}"}
    items = [here.get(name, name.replace(f"//{folder}:", ":")) for name in labels]
    items.sort(key=lambda name: (name[0] == "@", name.startswith("//"), re.split("[.:]", name)))
    if len(items) < 2:
        return f'["{items[0]}"]' if items else ""
    return "".join(["[\n", *(f'        "{item}",\n' for item in items), "    ]"])


def call(rule, **attributes):
    """A call as buildifier formats it, without what is empty."""
    given = [f"{key} = {value}" for key, value in attributes.items() if value]
    if len(given) == 1:
        return f"{rule}({given[0]})\n"
    return "".join([f"{rule}(\n", *(f"    {argument},\n" for argument in given), ")\n"])


def target(file, needed):
    """The call that declares a module's target."""
    folder, path = file.parent.as_posix(), file.as_posix()
    stem = file.parent.name if file.name == "__init__.py" else file.stem
    data = quoted(DATA.get(path, []))
    if not stem.endswith("_test"):
        return call(
            "py_library",
            name=f'"{stem}"',
            srcs=f'["{file.name}"]',
            data=f"glob({data})" if "*" in data else data,
            deps=quoted(needed, folder),
        )
    return call(
        "pytest_test",
        name=f'"{stem}"',
        data=data,
        size='"small"' if needed <= {*PYTEST, "//tfrobust"} else "",
        tags='["manual"]' if path in MANUAL else "",
        deps=quoted(needed - PYTEST, folder),
    )


def build_file(title, calls, *, testonly=False, exports=""):
    """The text of a BUILD file."""
    rules = [rule for rule in RULES if any(text.startswith(f"{rule}(") for text in calls)]
    loads = "".join(f'load("{RULES[rule]}", "{rule}")\n' for rule in rules)
    visibility = 'default_visibility = ["//visibility:public"]'
    package = (
        f"package(\n    default_testonly = True,\n    {visibility},\n)\n" if testonly else f"package({visibility})\n"
    )
    return "\n".join(filter(None, [f'"""{title}"""\n', loads, package, exports, *calls]))


def is_program(tree):
    """Whether `python -m` runs the module."""
    return any(isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'" for node in tree.body)


def build():
    """All BUILD files: path -> text."""
    known = modules()
    trees = {name: ast.parse((ROOT / file).read_text()) for name, file in known.items()}
    needed = {name: dependencies(file, trees[name], known) for name, file in known.items()}
    graph = {label(file): needed[name] for name, file in known.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises for a cycle
    assert len(graph) == len(known), "a module has the name of its folder; give it another"
    files, suites = {}, []
    for folder in sorted({file.parent for file in known.values()}):
        names = [name for name, file in known.items() if file.parent == folder]
        calls = [target(known[name], needed[name]) for name in names]
        if any(name.endswith("_test") for name in names):
            suites.append("//tests" if folder.name == "tests" else f"//{folder.as_posix()}:tests")
            calls.append(call("test_suite", name='"tests"'))
        title = f"The modules of {folder.as_posix()}: `python tests/build_test.py` writes this file from their imports."
        files[f"{folder.as_posix()}/BUILD"] = build_file(title, calls, testonly=folder.parts[0] == "tests")
    programs = [name for name, tree in trees.items() if is_program(tree) and not name.startswith("tests.")]
    calls = [binary(name.removesuffix(".__main__"), label(known[name])) for name in programs]
    calls.append(call("test_suite", name='"tests"', tests=quoted(suites)))
    title = "The programs and all tests: `python tests/build_test.py` writes this file from the sources."
    files["BUILD"] = build_file(title, calls, exports=EXPORTS)
    return files


def binary(module, needed):
    """A program: `bazel run //:trainers.mnist` is `python -m trainers.mnist`."""
    return call("py_binary", name=f'"{module}"', main_module=f'"{module}"', deps=quoted([needed]))


def written():
    """The BUILD files that are there: path -> text."""
    paths = [ROOT / "BUILD", *(path for top in TOPS for path in (ROOT / top).rglob("BUILD"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths if path.exists()}


def test_build_files_follow_from_the_sources():
    found, expected = written(), build()
    difference = [
        line
        for path in sorted({*found, *expected})
        for line in difflib.unified_diff(
            *(texts.get(path, "").splitlines() for texts in (found, expected)), path, f"{path} as wanted", lineterm=""
        )
    ]
    assert not difference, "\n".join(["python tests/build_test.py rewrites:", *difference])


if __name__ == "__main__":
    for stale in written().keys() - build().keys():
        (ROOT / stale).unlink()
    for path, text in build().items():
        (ROOT / path).write_text(text)
