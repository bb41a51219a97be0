"""The flags of every exporter, and what they say."""

import dataclasses
import pathlib

from absl import flags

MODEL = flags.DEFINE_string("model", None, "The .keras file.", required=True)
OUTPUT = flags.DEFINE_string(
    "output", None, "Where the export goes: a model's folder, or a .tflite file.", required=True
)


@dataclasses.dataclass(frozen=True)
class Paths:
    """The `.keras` file to export, and where to."""

    model: str
    output: pathlib.Path


def from_flags() -> Paths:
    """What --model and --output say."""
    return Paths(MODEL.value, pathlib.Path(OUTPUT.value))
