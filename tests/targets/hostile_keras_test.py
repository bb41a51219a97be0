"""`.keras` files that would do something else than answer."""

import contextlib
import zipfile

import keras
import numpy as np
import pytest

from tests.support import programs
from tfrobust import InputError, targets


def test_python_code_inside_is_not_run(tmp_path):
    owned = tmp_path / "owned"
    command = f"touch {owned}"
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Lambda(lambda x: (__import__("os").system(command), x)[1]),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    model.save(tmp_path / "model.keras")
    owned.unlink(missing_ok=True)
    np.savez(tmp_path / "images.npz", images=np.zeros((2, 4, 4, 1), "float32"), labels=[0, 1])
    for program, arguments in (
        ("trainers.evaluate", (f"--model={tmp_path / 'model.keras'}", f"--dataset={tmp_path / 'images.npz'}")),
        ("export.saved_model", (f"--model={tmp_path / 'model.keras'}", f"--output={tmp_path / 'served'}")),
    ):
        process = programs.run(program, *arguments)
        assert process.returncode == 2 and "Traceback" not in process.stderr and not owned.exists()
        assert "if you trust the file" in programs.errors(process)[0]


def test_entries_that_lead_out_of_the_file_write_nothing(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras", "a") as archive:
        for name in ("../owned", "assets/../../owned", str(tmp_path / "owned")):
            archive.writestr(name, "owned")
    (tmp_path / "inside").mkdir()
    (tmp_path / "model.keras").rename(tmp_path / "inside/model.keras")
    with contextlib.suppress(InputError):
        targets.load(tmp_path / "inside/model.keras").predictor()(np.zeros((1, 4, 4, 1), "float32"))
    assert not list(tmp_path.rglob("owned*"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_that_was_cut_is_refused(tmp_path, share):
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.save(tmp_path / "model.keras")
    contents = (tmp_path / "model.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes(contents[: int(share * len(contents))])
    with pytest.raises(InputError, match=r"model\.keras"):
        targets.load(tmp_path / "model.keras")
