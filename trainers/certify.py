"""Proves how robust a network is, and attacks it beside: certified and empirical accuracy by radius, in one curve.

    python -m trainers.certify --model=runs/noise/model.keras --method=smoothing --sigma=0.25 --dataset=mnist \\
        --examples=200 --samples=10000 --radii=0,0.25,0.5,0.75 --output=runs/noise/certificates
    python -m trainers.certify --model=runs/bounds/model.keras --method=intervals --dataset=mnist --examples=1000 \\
        --radii=0.05,0.1,0.2 --attack='apgd(linf(0.1))' --output=runs/bounds/certificates

    smoothing   randomized smoothing, in l2 (Cohen et al., ICML 2019), of a network trained with --defense=noise
    intervals   interval bound propagation, in linf (Gowal et al., 2018), of one trained with --defense=interval_bounds

Prints a table and writes report.html and certificates.csv, .npz and .png to --output. A certified image that the attack breaks is a bug in
one of the two: it is named, and the exit code is 1.
"""

import pathlib
from typing import Any

from absl import flags

import tfrobust as tfr
from tfrobust import files
from tfrobust.cli import data, lists, program, quiet

METHODS = ("smoothing", "intervals")

MODEL = flags.DEFINE_string("model", None, "The network, a .keras file.", required=True)
METHOD = flags.DEFINE_enum("method", None, METHODS, "How to prove.", required=True)
DATASET = flags.DEFINE_string("dataset", "mnist", "digits, a TFDS name, an .npz file, or a folder of class folders.")
EXAMPLES = flags.DEFINE_integer("examples", 200, "Number of test images to use.", lower_bound=1)
RADII = flags.DEFINE_list("radii", None, "Radii on the [0, 1] pixel scale; default: up to 2 sigma, or 0.02 to 0.3.")
ATTACK = flags.DEFINE_string(
    "attack", None, "What attacks at each radius; default: pgd(l2(1), steps=20), or apgd(linf(0.1))."
)
SIGMA = flags.DEFINE_float("sigma", 0.25, "smoothing: standard deviation of the noise, on [0, 1].", lower_bound=0.0)
SAMPLES = flags.DEFINE_integer("samples", 10_000, "smoothing: noisy copies of each image; the paper's: 100,000.", 1)
ALPHA = flags.DEFINE_float("alpha", 0.001, "smoothing: the probability of a wrong certificate.")
ATTACK_SAMPLES = flags.DEFINE_integer("attack_samples", 16, "smoothing: noisy copies that the attack averages.", 1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Images at a time.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the noise and of the attack.", lower_bound=0)
OUTPUT = flags.DEFINE_string("output", None, "Folder for report.html and certificates.csv, .npz and .png.")

_ATTACKS = {"smoothing": "pgd(l2(1), steps=20)", "intervals": "apgd(linf(0.1))"}


def main() -> int:
    method, sigma, source = METHOD.value, SIGMA.value, data.from_flags()
    radii = _radii(method, sigma)
    output = OUTPUT.value and pathlib.Path(OUTPUT.value)
    if output:
        files.check_writable(output)
    quiet.start_tensorflow()
    attack = tfr.attacks.parse(ATTACK.value or _ATTACKS[method])
    norm = tfr.balls.L2 if method == "smoothing" else tfr.balls.Linf
    if not isinstance(attack.ball, norm):
        raise tfr.InputError(
            f"--method={method} proves in {norm.__name__.lower()}; --attack={attack} is no attack in it"
        )
    network = tfr.targets.load_model(MODEL.value)
    test = source.load(DATASET.value, "test", EXAMPLES.value, channels=network.input_shape[-1])
    tfr.targets.KerasTarget(network, MODEL.value).check(test.images)
    certificates, examples = tfr.analysis.certificates, (network, test.floats(), test.labels)
    options: dict[str, Any] = {"batch_size": BATCH_SIZE.value, "seed": SEED.value}
    if method == "smoothing":
        options |= {"samples": SAMPLES.value, "alpha": ALPHA.value, "attack_samples": ATTACK_SAMPLES.value}
        curve = certificates.by_smoothing(*examples, sigma, radii, attack, **options)
    else:
        curve = certificates.by_intervals(*examples, radii, attack, **options)
    print(curve.table())
    if output:
        run = tfr.evaluation.provenance.of_run(MODEL.value, test.images, test.labels)
        _save(output, curve, curve.page(f"{MODEL.value}, certified by {method}", run))
    for line in curve.contradictions():
        print(line)
    return 1 if curve.contradictions() else 0


def _radii(method, sigma):
    if RADII.value is None:
        return tuple(sigma * step / 4 for step in range(9)) if method == "smoothing" else (0.02, 0.05, 0.1, 0.2, 0.3)
    radii = lists.numbers("radii", RADII.value)
    if not radii or min(radii) < 0 or list(radii) != sorted(set(radii)):
        raise tfr.InputError(f"--radii must rise from 0 or more, got {','.join(RADII.value)}")
    return radii


def _save(output, curve, page):
    import numpy as np

    with files.written(output / "certificates.csv") as path:
        path.write_text(curve.csv())
    with files.written(output / "certificates.npz") as path:
        np.savez_compressed(path, **curve._asdict())
    with files.written(output / "report.html") as path:
        path.write_text(page, encoding="utf-8")
    with files.written(output / "certificates.png") as path:
        path.write_bytes(curve.picture())
    print(f"report: {output / 'report.html'}")


flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
