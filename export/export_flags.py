"""The flags of every exporter, and what they say."""

import dataclasses
import pathlib

from absl import flags

import tfrobust as tfr

MODEL = flags.DEFINE_string("model", None, "The .keras file.", required=True)
OUTPUT = flags.DEFINE_string(
    "output", None, "Where the export goes: a model's folder, or a .tflite file.", required=True
)
CLASS_NAMES = flags.DEFINE_string("class_names", None, "A text file with the name of a class in each line.")


@dataclasses.dataclass(frozen=True)
class Paths:
    """The `.keras` file to export, and where to."""

    model: str
    output: pathlib.Path


def from_flags() -> Paths:
    """What --model and --output say."""
    return Paths(MODEL.value, pathlib.Path(OUTPUT.value))


def class_names(path, classes: int) -> tuple[str, ...]:
    """The lines of a text file, the names of so many classes.

    Raises:
      InputError: if it cannot be read, or has another number of lines.
    """
    try:
        names = tuple(pathlib.Path(path).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise tfr.InputError(f"--class_names: {path} is no readable text file") from error
    if len(names) != classes or "" in names:
        raise tfr.InputError(
            f"--class_names: {path} has {len(names)} names, but there are {classes} classes, a line each"
        )
    return names
