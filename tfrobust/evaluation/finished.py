"""Finished batches of an attack, kept in a folder so that an evaluation that was stopped goes on where it was."""

import hashlib
import io
import pathlib
import zipfile

import numpy as np


class FinishedBatches:
    """Arrays of each batch that was computed, by its number. Each file appears whole, by a rename.

    Args:
      folder: where they are kept, or None to keep nothing.
      identity: values that decide the result, such as the attack, the seed and the images: others' batches are not
        taken for one's own.
    """

    def __init__(self, folder, *identity):
        self.folder = None if folder is None else pathlib.Path(folder)
        self.prefix = hashlib.sha256("".join(map(_text, identity)).encode()).hexdigest()[:16]

    def get(self, number, compute):
        """The dict of arrays that `compute()` gave for this batch, now or in an earlier run."""
        if self.folder is None:
            return compute()
        path = self.folder / f"{self.prefix}-{number}.npz"
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, zipfile.BadZipFile):
            arrays = compute()
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".partial.npz")
        np.savez(temporary, **arrays)
        temporary.replace(path)
        return arrays


def _text(value):
    return hashlib.sha256(value.tobytes()).hexdigest() if isinstance(value, np.ndarray) else f"{value!r};"
