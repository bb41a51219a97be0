"""Checkpoints after every epoch, from which an interrupted run resumes exactly, and early stopping."""

import json
import math
import pathlib

import keras

from tfrobust import files
from tfrobust.errors import InputError


class Checkpoints(keras.callbacks.Callback):
    """Keeps weights, optimizer, random generators and history as of the last two epochs, and the best weights.

    The names appear by a rename, history last: an epoch whose history can be read is complete.

    Args:
      folder: where they are kept.
      history: what `restore` returned.
      patience: stop after this many epochs without a better `val_accuracy`; None: never.

    Raises:
      InputError: after an epoch whose loss is NaN, of which nothing is kept.
    """

    def __init__(self, folder, history=(), patience=None):
        super().__init__()
        self.folder, self.history, self.patience = folder, list(history), patience

    def on_epoch_end(self, epoch, logs=None):
        if math.isnan(logs.get("loss", 0.0)):
            raise InputError(
                f"the training has diverged: the loss of epoch {epoch + 1} is NaN; try a smaller --learning_rate, or a weaker "
                "defense. Epochs before it are kept, and the same command goes on from there"
            )
        self.history.append({name: float(value) for name, value in logs.items()})
        self._save(epoch + 1)
        if stops(self.history, self.patience):
            self.model.stop_training = True

    def _save(self, epochs):
        if self.patience and best_epoch(self.history) == epochs:
            self._write("best.weights.h5", self.model.save_weights)
        self._write(f"{epochs}.weights.h5", self.model.save_weights)
        state = {
            "history": self.history,
            "draws": {variable.path: variable.numpy().tolist() for variable in _draws(self.model)},
        }
        self._write(f"{epochs}.json", lambda path: path.write_text(json.dumps(state)))
        for name in (f"{epochs - 2}.json", f"{epochs - 2}.weights.h5"):
            (self.folder / name).unlink(missing_ok=True)

    def _write(self, name, write):
        with files.written(self.folder / name) as path:
            write(path)


def restore(folder, model):
    """Loads the newest complete checkpoint into a compiled model; returns the history up to there, a list of epochs."""
    model.optimizer.build(model.trainable_variables)
    epochs = sorted((int(path.stem) for path in pathlib.Path(folder).glob("*.json")), reverse=True)
    for epoch in epochs:
        try:
            state = json.loads((folder / f"{epoch}.json").read_text())
            model.load_weights(folder / f"{epoch}.weights.h5")
        except (OSError, ValueError):  # damaged: the one before will do
            continue
        for variable in _draws(model):
            variable.assign(state["draws"][variable.path])
        return state["history"]
    return []


def _draws(model):
    """How far each random generator of a model's layers has come, which Keras does not save."""
    return [variable for variable in model.variables if "seed_generator" in variable.path]


def best_epoch(history):
    """The number, from 1, of the first epoch with the highest `val_accuracy`."""
    accuracies = [epoch["val_accuracy"] for epoch in history]
    return 1 + accuracies.index(max(accuracies))


def stops(history, patience):
    """Whether `patience` epochs have gone by without a better one."""
    return bool(patience and history) and len(history) - best_epoch(history) >= patience
