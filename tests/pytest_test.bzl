"""Tests that pytest runs."""

load("@rules_python//python:py_test.bzl", "py_test")

def pytest_test(name, deps = [], data = [], size = "medium", tags = []):
    """Runs NAME.py of the calling folder, as `python -m pytest FOLDER/NAME.py` does.

    Args:
      name: the file's, without `.py`.
      deps: what it imports, but for pytest and `tests/conftest.py`.
      data: the files that it reads.
      size: how long it may take: see Bazel's test rules.
      tags: "manual" for a test that Bazel cannot run.
    """
    py_test(
        name = name,
        size = size,
        srcs = [name + ".py"],
        args = ["%s/%s.py" % (native.package_name(), name)],
        data = data + ["//:pyproject.toml"],
        main_module = "pytest",
        tags = tags,
        deps = deps + [
            "//tests:conftest",
            "@pypi//pytest",
        ],
    )
