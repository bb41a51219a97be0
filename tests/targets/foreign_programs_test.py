"""Programs take the models that users bring, by flags."""

import json

import numpy as np
import pytest

from tests.support import foreign, programs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """data.npz, and a SavedModel of pixels with two signatures."""
    folder, (_, (images, labels)) = tmp_path_factory.mktemp("foreign"), foreign.data()
    np.savez(folder / "data.npz", images=images.astype("float32") / np.float32(255), labels=labels)
    of = foreign.Module()
    foreign.saved(of, folder / "module", predict=of.predict, other=of.of_pixels)
    return folder


def evaluated(folder, *flags):
    arguments = (f"--model={folder / 'module'}", f"--dataset={folder / 'data.npz'}", f"--output={folder / 'report'}")
    return programs.run("trainers.evaluate", *arguments, "--attack=fgsm(linf(0.1))", *flags)


def test_flags_reach_the_model(folder):
    done = evaluated(folder, "--bounds=0,255", "--signature=predict", "--output_name=scores")
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "report" / "report.json").read_text())
    clean, robust = foreign.reference(10, 0.1)
    assert report["clean_accuracy"] == pytest.approx(clean)
    assert abs(report["attacks"][0]["robust_accuracy"] - robust) <= 0.005


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--bounds=0,255",), "name one by signature= (flag --signature)"),
        (("--bounds=255", "--signature=predict"), "bounds are two numbers such as (0, 255)"),
    ],
)
def test_wrong_use_is_one_line(folder, flags, said):
    done = evaluated(folder, *flags)
    assert done.returncode == 2
    assert said in done.stderr.strip().splitlines()[-1]
