"""How every program starts and ends.

Exit code 0: done. 1: a threshold was not met. 2: wrong use, with one clear line on standard error. 70: a bug, with its
traceback (EX_SOFTWARE of sysexits.h), so that it does not look like a missed threshold.
"""

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

from tfrobust.cli import flagfiles
from tfrobust.errors import InputError


def run(main: Callable[..., int | None], takes_arguments: bool = False) -> NoReturn:
    """Parses the command line, calls `main()` and exits with what it returns (None counts as 0).

    Flag errors and `InputError` end the program with one line and exit code 2; any other exception is a bug, which
    keeps its traceback and ends it with 70.

    Args:
      main: the program. It reads its flags, and passes on what they say.
      takes_arguments: whether it is called with what stands beside the flags, such as files.

    Example:
      >>> if __name__ == "__main__":
      ...     program.run(main)
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    end_in_order_when_told()

    def parse(argv):
        try:
            return flags.FLAGS([argv[0], *flagfiles.expanded(argv[1:])])
        except (InputError, flags.Error) as error:
            fail(_of_a_missing_flag(error) or error)
        except SystemExit:  # --help has printed its page, and absl would exit with 1
            sys.exit(0)

    def guarded(argv):
        if argv[1:] and not takes_arguments:
            fail(f"unexpected argument {argv[1]!r}: flags are written --name=value")
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            sys.exit(main(argv[1:]) if takes_arguments else main())
        except InputError as error:
            fail(error)
        except Exception:
            traceback.print_exc()
            sys.exit(os.EX_SOFTWARE)

    app.run(guarded, flags_parser=parse)


def _of_a_missing_flag(error) -> str | None:
    """What absl says as "must have a value other than None"."""
    found = re.search(r"Flag --(\w+) must have a value other than None", str(error))
    return found and f"--{found[1]} is missing: {flags.FLAGS[found[1]].help}"


def end_in_order_when_told() -> None:
    """SIGTERM, by which schedulers end a process, ends it as Ctrl-C does: what is being written, or asked of a server, comes
    to its end first.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def fail(message: object) -> NoReturn:
    """Prints one line and exits with code 2."""
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr)
    sys.exit(2)


def flagfile() -> str:
    """The flags of the running program, as a flagfile that repeats the run."""
    key_flags = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    return "".join(f"{flag.serialize()}\n" for flag in key_flags if flag.value not in (None, []))
