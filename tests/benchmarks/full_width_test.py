"""The recipe for a machine without TensorFlow: what is carried there and back, and a run that stops and goes on."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np

from benchmarks import pieces
from tests.support import classifiers, programs
from tfrobust import models, targets

OTHER_BACKEND = "jax" if importlib.util.find_spec("jax") else None
LOGITS = """
import pathlib
import numpy as np
from benchmarks import pieces
folder = pathlib.Path({folder!r})
np.save(folder / "logits.npy", pieces.read_network(folder).predict(np.load(folder / "images.npy"), verbose=0))
"""


def on_backend(option, *command):
    """Runs Python with "-m" or "-c" under the other back end, if there is one; returns what it printed."""
    if OTHER_BACKEND:
        process = subprocess.run(
            [sys.executable, option, *map(str, command)],
            cwd=programs.ROOT,
            env={**os.environ, "KERAS_BACKEND": OTHER_BACKEND},
            capture_output=True,
            text=True,
            check=False,
        )
    else:
        process = programs.run(*command) if option == "-m" else programs.run_code(*command)
    assert process.returncode == 0, process.stderr[-2000:]
    return process.stdout


def test_packing_loses_nothing():
    images = np.random.default_rng(0).integers(256, size=(5, 8, 6, 3), dtype="uint8")
    np.testing.assert_array_equal(pieces.sums(pieces.differences(images)), images)


def test_schedule_keeps_its_proportions():
    code = "from benchmarks import full_width; print(*map(full_width.drops, (350, 60, 2, 1)))"
    assert programs.run_code(code).stdout == "[150, 250] [26, 43] [1] [1]\n"


def test_pieces_are_small_and_hold_all_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_BYTES", 20_000)
    network = models.resnet18(width=4, insert=models.masks.parse("shallow=0.7"), mean=np.full((32, 32, 3), 0.25))
    pieces.write_network(network, tmp_path)
    sizes = [path.stat().st_size for path in pieces.numbered(tmp_path)]
    assert len(sizes) > 5 and max(sizes) < 48_000  # the largest weight has 36,864 bytes
    images = classifiers.random_images(4, (32, 32, 3))
    np.testing.assert_array_equal(pieces.read_network(tmp_path)(images), network(images))


def test_run_stops_in_time_goes_on_and_is_assembled(tmp_path):
    packed, output, program = tmp_path / "packed", tmp_path / "output", "benchmarks.full_width"
    programs.succeed(program, "--mode=pack", "--dataset=digits", f"--data={packed}")
    run = [f"--data={packed}", f"--workdir={tmp_path / 'work'}", f"--output={output}", "--epochs=2", "--width=4"]
    run += ["--model=vgg11", "--masks=shallow=0.7", "--precision=mixed_bfloat16"]
    assert "1 of 2 epochs are done" in on_backend("-m", program, *run, "--minutes=0")
    assert "1 pieces" in on_backend("-m", program, *run)
    programs.succeed(program, "--mode=assemble", f"--output={output}")
    model = targets.load_model(output / "model.keras")
    images = classifiers.random_images(8, model.input_shape[1:])
    np.save(output / "images.npy", images)
    on_backend("-c", LOGITS.format(folder=str(output)))
    np.testing.assert_allclose(np.load(output / "logits.npy"), model.predict(images, verbose=0), atol=1e-4)
    assert str(models.masks.placement(model)) == "shallow=0.7"
    assert keras.backend.standardize_dtype(model.layers[-1].compute_dtype) == "float32"
