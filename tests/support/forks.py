"""Runs commands in forks of a process that has imported what they need, in an environment that knows no tests.

    ENVIRONMENT/bin/python -P tests/support/forks.py

reads a JSON object a line, {"words": the command's, "folder": where it runs, "outputs": two files}, and answers each with
its exit code. It ends with its input.
"""

import json
import multiprocessing
import os
import pathlib
import runpy
import sys


def as_python(arguments, outputs):
    """In a fork, does what Python does with "-m" or "-c" and what follows, both outputs in files."""
    for descriptor, path in zip((1, 2), outputs):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    option, what, *sys.argv[1:] = arguments
    if option == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(what, {"__name__": "__main__"})


def _as_shell(words, folder, outputs):
    """The same of `python …` or `tfrobust …`, in a folder."""
    os.chdir(folder)
    as_python(["-m", *words] if words[0] == "tfrobust" else words[1:], outputs)


def main():
    runpy.run_path(str(pathlib.Path(__file__).with_name("preloaded.py")))
    for line in sys.stdin:
        child = multiprocessing.get_context("fork").Process(target=_as_shell, kwargs=json.loads(line))
        child.start()
        child.join()
        print(child.exitcode, flush=True)


if __name__ == "__main__":
    main()
