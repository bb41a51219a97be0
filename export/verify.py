"""Attacks exported artefacts and compares them with the model they came from.

    python -m export.verify --reference=runs/lenet/model.keras --artifact=lenet_int8.tflite --artifact=models/lenet \\
        --dataset=mnist --examples=500 --attack='pgd(linf(0.1), steps=20)' \\
        --min_robust_accuracy=0.5 --max_flip_rate=0.01 --output=runs/verify

A SavedModel is attacked through its own gradients. A TFLite file gives none, so attacks are made on the reference and
carried over. Exit code 1 if an artefact misses a threshold: --max_flip_rate is the share of clean images on which its
prediction differs from the reference's; --min_robust_accuracy holds for each attack that has a radius.
"""

from absl import flags

import tfrobust as tfr
from trainers import attacking, program

REFERENCE = flags.DEFINE_string("reference", None, "The .keras file that the artefacts came from.", required=True)
ARTIFACT = flags.DEFINE_multi_string(
    "artifact", None, "SavedModel directory or .tflite; several allowed.", required=True
)
MIN_ROBUST_ACCURACY = flags.DEFINE_float(
    "min_robust_accuracy", None, "Fail below this under any attack with a radius.", lower_bound=0.0, upper_bound=1.0
)
MAX_FLIP_RATE = flags.DEFINE_float(
    "max_flip_rate", None, "Fail if more clean predictions than this differ.", lower_bound=0.0, upper_bound=1.0
)


def main():
    if MIN_ROBUST_ACCURACY.value is not None and not any(hasattr(attack, "ball") for attack in attacking.attacks()):
        raise tfr.InputError("--min_robust_accuracy needs an --attack with a radius, such as 'pgd(linf(8/255))'")
    expected, *evaluations = attacking.evaluate([REFERENCE.value, *ARTIFACT.value], source=REFERENCE.value)
    flip_rates = [float((found.predictions != expected.predictions).mean()) for found in evaluations]
    failures = [line for pair in zip(evaluations, flip_rates) for line in failed_thresholds(*pair)]
    print(tfr.evaluation.table([expected, *evaluations]))
    for found, flip_rate in zip(evaluations, flip_rates):
        print(f"{found.report['model']}: {flip_rate:.2%} of the clean predictions differ from the reference's")
    report = {
        **expected.report,
        "artifacts": [{**found.report, "flip_rate": rate} for found, rate in zip(evaluations, flip_rates)],
        "failures": failures,
    }
    attacking.save(report, [expected, *evaluations])
    for failure in failures:
        print(f"failed: {failure}")
    return 1 if failures else 0


def failed_thresholds(evaluation, flip_rate):
    """A line for each threshold that an artefact misses."""
    name = evaluation.report["model"]
    if MAX_FLIP_RATE.value is not None and flip_rate > MAX_FLIP_RATE.value:
        yield f"{name}: flip rate {flip_rate:.4f} > {MAX_FLIP_RATE.value}"
    for row in evaluation.report["attacks"] if MIN_ROBUST_ACCURACY.value is not None else []:
        if row["radius"] is not None and row["robust_accuracy"] < MIN_ROBUST_ACCURACY.value:
            yield f"{name}: {row['attack']} leaves {row['robust_accuracy']:.4f} < {MIN_ROBUST_ACCURACY.value}"


flags.adopt_module_key_flags(attacking)
flags.adopt_module_key_flags(program)

if __name__ == "__main__":
    program.run(main)
