"""How every program starts and ends, and the flags that say where data is.

Exit code 0: done. 1: a threshold was not met. 2: wrong use, with one clear line on standard error. Importing this is
quick: TensorFlow is imported where it is used, so that `--help` answers at once.
"""

import os
import sys

from absl import app, flags, logging

import tfrobust as tfr
from tfrobust.errors import InputError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS data dir; default: TFDS_DATA_DIR, else TFDS' own.")
DOWNLOAD = flags.DEFINE_bool("download", True, "Whether missing data may be downloaded.")


def load_data(name, split):
    """A split of a data set, from --data_dir."""
    return tfr.data.load(name, split, data_dir=DATA_DIR.value, download=DOWNLOAD.value)


def run(main):
    """Parses the command line, calls `main()` and exits with what it returns (None counts as 0).

    Flag errors and `InputError` end the program with one line and exit code 2; any other exception is a bug and
    keeps its traceback.
    """

    def parse(argv):
        try:
            return flags.FLAGS(argv)
        except flags.Error as error:
            fail(error)
        except SystemExit:  # --help has printed its page
            sys.exit(0)

    def guarded(argv):
        if argv[1:]:
            fail(f"unexpected argument {argv[1]!r}: flags are written --name=value")
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            sys.exit(main())
        except InputError as error:
            fail(error)

    app.run(guarded, flags_parser=parse)


def fail(message):
    """Prints one line and exits with code 2."""
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr)
    sys.exit(2)
