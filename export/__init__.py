"""Exporting models, and checking what was exported: `python -m export.saved_model`, `export.tflite`, `export.verify`."""
