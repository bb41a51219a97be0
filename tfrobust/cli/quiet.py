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

from tfrobust.errors import InputError


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Holds back what the block writes to standard error, and shows it if the block fails.

    An `InputError` is no such failure: its own line says what is wrong.

    Example:
      >>> with held_back():
      ...     contents = converter.convert()
    """
    with tempfile.TemporaryFile() as held, contextlib.ExitStack() as shown_at_the_end:
        _flush()
        standard_error = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except InputError:
            raise
        except BaseException:
            shown_at_the_end.callback(_show, held)
            raise
        finally:
            _flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


def _show(held) -> None:
    held.seek(0)
    for line in held:
        os.write(2, line)


def start_tensorflow() -> None:
    """Imports TensorFlow and looks for devices. Call it before anything that imports TensorFlow.

    What TensorFlow says while it does so is shown only if that fails.
    """
    with held_back():
        import keras  # noqa: F401, it imports parts of TensorFlow of its own
        import tensorflow as tf

        tf.config.list_physical_devices()
