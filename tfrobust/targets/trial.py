"""One question to a model in a process of its own: what hangs or crashes there does not do so here.

It takes seconds, so that only files are tried that hold what could: loops, and other graphs inside.
"""

import os
import subprocess
import sys

from tfrobust.errors import InputError

_SECONDS = 60
_INSIDE = "TFROBUST_TRIAL"  # set in that process
_QUESTION = """\
import sys
import numpy as np
import tfrobust as tfr
target = tfr.targets.load(sys.argv[1], signature=sys.argv[2] if len(sys.argv) > 2 else None)
target.predictor()(np.zeros([1, *(size or 32 for size in target.input_shape)], "float32"))
"""


def refuse_what_does_not_answer(path, signature: str | None = None) -> None:
    """Raises `InputError` if a model file does not answer about a black image within a minute, or ends the process.

    What is raised there is found again by whoever runs the file.
    """
    if _INSIDE in os.environ:
        return
    command = [sys.executable, "-c", _QUESTION, str(path), *([signature] if signature else [])]
    try:
        environment = {**os.environ, _INSIDE: "1"}
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False, env=environment)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{path} is not run: it did not answer about one image within {_SECONDS} s") from error
    if done.returncode < 0:
        raise InputError(f"{path} is not run: it ends the process that runs it, by signal {-done.returncode}")
