"""One question to a model file in a process of its own: what hangs or crashes there does not do so here."""

import functools
import os
import subprocess
import sys

from tfrobust.errors import InputError
from tfrobust.targets import identity

_SECONDS = 60
_INSIDE = "TFROBUST_TRIAL"  # set in that process
_QUESTION = """\
import sys
import numpy as np
import tfrobust as tfr
target = tfr.targets.load(sys.argv[1], signature=sys.argv[2] if len(sys.argv) > 2 else None)
target.predictor()(np.zeros([1, *(size or 32 for size in target.input_shape)], "float32"))
"""
_TFLITE_QUESTION = """\
import resource
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

def ask(batch):
    if batch:
        interpreter.resize_tensor_input(given["index"], [batch, *given["shape"][1:]])
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
    interpreter.invoke()

path, kernels, memory = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
try:
    interpreter = Interpreter(path, num_threads=1, experimental_op_resolver_type=OpResolverType[kernels])
    given = interpreter.get_input_details()[0]
    ask(batch=None)
except Exception as error:
    sys.exit((str(error).strip().splitlines() or [type(error).__name__])[0])
if len(given["shape_signature"]) and given["shape_signature"][0] < 0:
    try:
        ask(batch=2)
    except (RuntimeError, ValueError):  # it says that it takes any batch, but holds a size inside
        pass
"""


def refuse_what_does_not_answer(path, signature: str | None = None) -> None:
    """Raises `InputError` if a model file does not answer about a black image within a minute, or ends the process.

    What is raised there is found again by whoever runs the file. TensorFlow takes seconds to start, so that only files are
    tried that hold what could hang.
    """
    if _INSIDE not in os.environ:
        _run(path, _QUESTION, str(path), *([signature] if signature else []))


def refuse_tflite_that_does_not_run(path, kernels: str) -> None:
    """Raises `InputError` if LiteRT cannot run a file on black images, within a minute and half of the memory.

    The interpreter is quick to start: every file is tried, once by its content.

    Args:
      path: of the file.
      kernels: the name of an `OpResolverType`.
    """
    _tried(str(path), identity.of_files(path), kernels)


@functools.lru_cache
def _tried(path, content, kernels):
    """Whether it was tried is kept for the path and what the file holds, the content."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2  # bytes
    done = _run(path, _TFLITE_QUESTION, path, kernels, str(memory))
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing was said"]
        raise InputError(f"{path} cannot be run: {said[-1]}")


def _run(path, question, *arguments):
    """The process when it has ended by itself."""
    command = [sys.executable, "-c", question, *arguments]
    try:
        environment = {**os.environ, _INSIDE: "1"}
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False, env=environment)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{path} is not run: it did not answer about one image within {_SECONDS} s") from error
    if done.returncode < 0:
        raise InputError(f"{path} is not run: it ends the process that runs it, by signal {-done.returncode}")
    return done
