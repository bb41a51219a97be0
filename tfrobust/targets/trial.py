"""One question to a model in a process of its own: what hangs or crashes there does not do so here.

    python -m tfrobust.targets.trial exported serving_default

It takes seconds, so that only files are tried that hold what could: loops, and operations that are not known here.
"""

import os
import subprocess
import sys

from tfrobust.errors import InputError

_SECONDS = 60
_SIDE = 32  # pixels, where the model does not say
_INSIDE = "TFROBUST_TRIAL"  # set in that process


def refuse_what_does_not_answer(path, signature: str | None = None) -> None:
    """Raises `InputError` if a model file does not answer about one image within a minute, or ends the process."""
    if _INSIDE in os.environ:
        return
    command = [sys.executable, "-m", "tfrobust.targets.trial", str(path), *([signature] if signature else [])]
    try:
        environment = {**os.environ, _INSIDE: "1"}
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False, env=environment)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{path} is not run: it did not answer about one image within {_SECONDS} s") from error
    if done.returncode < 0:
        raise InputError(f"{path} is not run: it ends the process that runs it, by signal {-done.returncode}")


def main(path, signature=None):
    """Asks about a black image. What is raised is found again by whoever runs the file."""
    import numpy as np

    from tfrobust import targets

    target = targets.load(path, signature=signature)
    target.predictor()(np.zeros([1, *(size or _SIDE for size in target.input_shape)], "float32"))


if __name__ == "__main__":
    main(*sys.argv[1:])
