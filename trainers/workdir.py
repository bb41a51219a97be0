"""What a run leaves in its workdir: flags.txt, model.keras and metrics.json, beside checkpoints and TensorBoard's logs."""

import json
import math
import time
from typing import TYPE_CHECKING

import tfrobust as tfr
from tfrobust import files
from tfrobust.errors import InputError
from trainers.config import TrainingConfig
from trainers.feeds import Feed, as_feed

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras


def open_workdir(config: TrainingConfig, chief: bool = True) -> None:
    """Makes the workdir and, on the chief, writes flags.txt, a flagfile that repeats the run.

    Raises:
      InputError: if the workdir holds a run with other flags.
    """
    files.writable_folder(config.workdir)
    written = config.workdir / "flags.txt"
    if written.exists() and written.read_text() != config.flagfile:
        raise InputError(f"{config.workdir} holds a run with other flags (see {written}); choose another --workdir")
    if chief:
        with files.written(written) as path:
            path.write_text(config.flagfile)


def save(
    config: TrainingConfig,
    network: "keras.Model",
    test: "Feed | tfr.data.Split",
    history: dict,
    started: float,
    **measured: float,
) -> None:
    """Writes model.keras and metrics.json, and prints the metrics.

    Args:
      config: the training.
      network: what was trained.
      test: the test examples, on which the accuracy is measured.
      history: what `fit` returned.
      started: `time.monotonic()` at the start of the run.
      measured: what else was measured, by name.
    """
    test = as_feed(test)
    metrics = {"accuracy": accuracy(network, test), **measured}
    with files.written(config.workdir / "model.keras") as path:
        network.save(path)
    with files.written(config.workdir / "metrics.json") as path:
        finite: dict[str, object] = {
            name: None if value == math.inf else value for name, value in metrics.items()
        }  # JSON has no inf
        seconds = round(time.monotonic() - started, 1)
        finite |= {"examples": test.examples, "history": history, "seconds": seconds}
        path.write_text(json.dumps(finite, indent=2) + "\n")
    shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    print(f"test: {shown}\nmodel: {config.workdir / 'model.keras'}")


def accuracy(network: "keras.Model", test: Feed, likeliest: int = 1) -> float:
    """The share of the examples whose label is among the `likeliest` classes of largest logits."""
    hits = 0
    for images, labels in test.batches():
        order = (-network.predict_on_batch(images)).argsort(axis=1, kind="stable")  # the first of equal ones, as argmax
        hits += int((order[:, :likeliest] == labels.numpy()[:, None]).sum())
    return hits / test.examples
