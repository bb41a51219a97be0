"""`trainers.analyze` as its users run it."""

import keras
import numpy as np
import pytest

from tests.support import programs
from tfrobust import data, models


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A small network of digits with ACE, trained a little."""
    keras.utils.set_random_seed(0)
    train = data.load("digits", "train")
    network = models.lenet(input_shape=(28, 28, 1), width=8, insert=models.Ace(10.0), std=1.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.01), loss)
    network.fit(train.floats(), train.labels, epochs=3, verbose=0)
    path = tmp_path_factory.mktemp("analyze") / "model.keras"
    network.save(path)
    return path


def test_writes_the_arrays_and_a_picture_of_each_analysis(path, tmp_path):
    what = "--what=overlap,heatmap,label_map,white_pixel"
    few = ("--examples=20", "--points=5", "--label_maps=1", "--attack=fgsm(linf(0.1))", "--layers=conv1")
    said = programs.succeed(
        "trainers.analyze", f"--model={path}", what, "--dataset=digits", *few, f"--output={tmp_path}"
    )
    assert "share of the checkerboard in G(0.3): " in said
    pictures = {file.stem for file in tmp_path.glob("*.png") if file.read_bytes().startswith(b"\x89PNG")}
    arrays = {file.stem: dict(np.load(file)) for file in tmp_path.glob("*.npz")}
    (label_map,) = pictures & {f"label_map_{number}" for number in range(20)}
    assert pictures == set(arrays) == {"overlap", "gradients", "perturbations", label_map, "white_pixel"}
    assert arrays["overlap"]["top_pixels"].shape == (28, 28) and arrays[label_map]["labels"].shape == (5, 5)
    assert set(arrays["gradients"]) == set(arrays["perturbations"]) == {"input", "conv1"}
    assert 0.05 < arrays["perturbations"]["input"].max() <= 0.1 + 1e-6
    assert 0 < arrays["white_pixel"]["success"].max() <= 1


def test_the_overlap_needs_no_data(path, tmp_path):
    given = ("--dataset=none", "--path_weight=0", "--fraction=0.5")
    programs.succeed("trainers.analyze", f"--model={path}", *given, f"--output={tmp_path}")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["overlap.npz", "overlap.png"]


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--what=gradients",), "--what takes overlap, heatmap, label_map, white_pixel; got 'gradients'"),
        (("--model=missing.keras",), "missing.keras: no such file"),
        (("--what=heatmap", "--dataset=digits", "--attack=pdg()"), "pdg"),
        (("--what=heatmap", "--dataset=digits", "--layers=conv9"), "no map 'conv9'"),
        (("--what=label_map", "--dataset=digits", "--points=4"), "points must be an odd number"),
        (("--fraction=2",), "fraction is the share"),
        (("--what=white_pixel", "--dataset=nowhere.npz"), "nowhere.npz"),
    ],
)
def test_wrong_use_ends_in_one_line(path, tmp_path, flags, said):
    process = programs.run("trainers.analyze", f"--model={path}", *flags, f"--output={tmp_path / 'out'}")
    assert process.returncode == 2 and "Traceback" not in process.stderr, process.stderr[-500:]
    (line,) = programs.errors(process)
    assert said in line
