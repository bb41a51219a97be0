"""The flags of every exporter."""

from absl import flags

MODEL = flags.DEFINE_string("model", None, "The .keras file.", required=True)
OUTPUT = flags.DEFINE_string(
    "output", None, "Where the export goes: a model's folder, or a .tflite file.", required=True
)
