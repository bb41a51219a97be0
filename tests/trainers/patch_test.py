"""`trainers.patch` as its users run it: a patch is trained, saved, and used again on another model."""

import numpy as np
import tensorflow as tf

from tests.support import programs


def test_a_patch_is_trained_saved_and_reused_on_an_exported_file(artifacts, tmp_path):
    said = programs.succeed(
        *("trainers.patch", f"--model={artifacts.model}", "--dataset=digits", "--examples=300", "--test_examples=40"),
        *("--goal=3", "--side=12", "--steps=60", f"--output={tmp_path}"),
    )
    patch, picture = (
        np.load(tmp_path / "patch.npy"),
        tf.io.decode_png((tmp_path / "patch.png").read_bytes(), channels=0),
    )
    np.testing.assert_array_equal(picture, np.round(patch * 255))
    assert "goal" in said and "targeted(adversarial_patch(" in said and (tmp_path / "report.html").exists()
    again = programs.succeed(
        *("trainers.evaluate", f"--model={artifacts.int8}", "--dataset=digits", "--examples=40", "--noactive_checks"),
        f"--attack=adversarial_patch({str(tmp_path / 'patch.npy')!r}, samples=5)",
    )
    assert "adversarial_patch(" in again and "success" in again


def test_wrong_use_ends_in_one_line(artifacts, tmp_path):
    for flags, said in (
        ((f"--model={artifacts.int8}",), "differentiate"),
        ((f"--model={artifacts.model}", "--scales=1"), "--scales takes 2 numbers, got 1"),
        ((f"--model={artifacts.model}", "--side=40"), "does not go on images of 28x28x1"),
        ((f"--model={artifacts.model}", "--goal=17"), "goal must be a class"),
    ):
        process = programs.run(
            "trainers.patch", "--dataset=digits", "--examples=50", f"--output={tmp_path / 'p'}", *flags
        )
        assert process.returncode == 2 and said in "".join(programs.errors(process))
        assert not (tmp_path / "p" / "patch.npy").exists()
