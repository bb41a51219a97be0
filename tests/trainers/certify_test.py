"""`trainers.certify` as its users run it, and what it says when an attack breaks what was proved."""

import csv

import keras
import numpy as np
import pytest

from tests.support import programs
from tfrobust import attacks, data
from tfrobust.analysis import certificates
from tfrobust.analysis.certificates import Curve
from tfrobust.defenses import IntervalBoundTraining, NoiseTraining
from tfrobust.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network of digits for each method."""
    path = tmp_path_factory.mktemp("certify")
    train = data.load("digits", "train").take(800)
    for name in ("smoothing", "intervals"):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Flatten(), keras.layers.Dense(32, activation="relu"), keras.layers.Dense(10)]
        network = keras.Sequential([keras.Input([28, 28, 1]), *layers])
        made = NoiseTraining(network, 0.25) if name == "smoothing" else IntervalBoundTraining(network, 0.02, 10, 100)
        made.compile(keras.optimizers.Adam(0.003), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        made.fit(train.floats(), train.labels, batch_size=50, epochs=12, verbose=0)
        network.save(path / f"{name}.keras")
    return path


@pytest.mark.parametrize(
    "method, flags",
    [
        ("smoothing", ("--sigma=0.25", "--samples=1000", "--radii=0,0.25,0.5", "--attack=pgd(l2(1), steps=5)")),
        ("intervals", ("--radii=0.005,0.02,0.2", "--attack=pgd(linf(0.1), steps=10)")),
    ],
)
def test_certified_accuracy_falls_with_the_radius_and_stays_below_what_the_attack_leaves(
    folder, tmp_path, method, flags
):
    said = programs.succeed(
        *("trainers.certify", f"--model={folder / method}.keras", f"--method={method}", "--dataset=digits"),
        *("--examples=40", *flags, f"--output={tmp_path}"),
    )
    rows = list(csv.DictReader((tmp_path / "certificates.csv").read_text().splitlines()))
    certified, empirical = ([float(row[name]) for row in rows] for name in ("certified", "empirical"))
    assert certified == sorted(certified, reverse=True) and certified[0] > 0.5 and certified[0] > certified[-1]
    assert all(low <= high for low, high in zip(certified, empirical)) and empirical[0] > empirical[-1]
    assert (tmp_path / "certificates.png").read_bytes().startswith(b"\x89PNG")
    assert f"{certified[0]:.1%}" in said and "left by the attack" in said
    page = (tmp_path / "report.html").read_text()
    assert "no attack broke what is certified" in page.lower() and f"{100 * certified[0]:.2f} %" in page


def test_bounds_in_16_bits_prove_nothing():
    short = keras.Sequential([keras.Input([2, 2, 1]), keras.layers.Flatten(), keras.layers.Dense(2, dtype="bfloat16")])
    with pytest.raises(InputError, match="16 bits"):
        certificates.by_intervals(
            short, np.zeros([1, 2, 2, 1], "float32"), [0], [0.1], attacks.parse("fgsm(linf(0.1))")
        )


def test_an_attack_that_breaks_what_was_proved_is_named():
    proved = np.array([[True, True, False], [True, False, False]])
    changed = np.array([[False, True, True], [False, True, True]])
    curve = Curve("linf", (0.1, 0.2), proved, ~changed, changed)
    assert curve.contradictions() == ["linf(0.1): certified, but broken by the attack: images 1"]
    assert 'class="verdict failed"' in curve.page("a network") and "images 1" in curve.page("a network")


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--method=intervals", "--attack=pgd(l2(1))"), "--method=intervals proves in linf"),
        (("--method=smoothing", "--sigma=0"), "sigma is a positive standard deviation"),
        (("--method=intervals", "--radii=0.2,0.1"), "--radii must rise"),
        (("--method=intervals", "--radii=much"), "--radii must be numbers"),
    ],
)
def test_wrong_use_ends_in_one_line(folder, flags, said):
    process = programs.run("trainers.certify", f"--model={folder / 'intervals'}.keras", "--dataset=digits", *flags)
    assert process.returncode == 2, process.stderr[-500:]
    (line,) = programs.errors(process)
    assert said in line
