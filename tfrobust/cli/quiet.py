"""Keeps standard error for what a user has to read.

Native code writes to descriptor 2 whatever Python's `sys.stderr` is: each import of the TensorFlow wheel six lines, the
search for GPUs an error about CUDA where there is none, the TFLite converter a warning and two lines of its state.
TF_CPP_MIN_LOG_LEVEL does not help: they are logged before it is read.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from tfrobust.errors import InputError


@contextlib.contextmanager
def held_back(held: BinaryIO | None = None) -> Iterator[None]:
    """Holds back what the block writes to standard error, and shows it if the block fails.

    An `InputError` is no such failure: its own line says what is wrong.

    Args:
      held: a file for what is held back; None: a temporary one.

    Example:
      >>> with held_back():
      ...     contents = converter.convert()
    """
    with contextlib.ExitStack() as afterwards:
        held = held or afterwards.enter_context(tempfile.TemporaryFile())
        _flush()
        standard_error = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except InputError:
            raise
        except BaseException:
            afterwards.callback(_show, held)
            raise
        finally:
            _flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


def _show(held: BinaryIO) -> None:
    held.seek(0)
    os.write(2, held.read())


def start_tensorflow() -> None:
    """Imports TensorFlow and looks for devices. Call it before anything that imports TensorFlow.

    What TensorFlow says while it does so is shown only if that fails, or kills the process: on a processor without AVX
    the wheel says so and aborts.
    """
    with tempfile.TemporaryFile() as held, _shown_if_killed(held), held_back(held):
        import keras  # noqa: F401, it imports parts of TensorFlow of its own
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def _shown_if_killed(held: BinaryIO) -> Iterator[None]:
    """Has a child process show what is held back if this one does not live to the end of the block.

    The child waits for a byte that says that the block has ended; a pipe that closes without one says the opposite.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        if not os.read(reading, 1):
            _show(held)
        os._exit(0)
    os.close(reading)
    try:
        yield
    finally:
        os.write(writing, b".")
        os.close(writing)
        os.waitpid(child, 0)
