"""Attacks exported artifacts and compares them with the model they came from.

    python -m export.verify --reference=runs/lenet/model.keras --artifact=lenet_int8.tflite --artifact=models/lenet \\
        --dataset=mnist --examples=500 --attack='pgd(linf(0.1), steps=20)' \\
        --min_robust_accuracy=0.5 --max_flip_rate=0.01 --output=runs/verify

A SavedModel is attacked through its own gradients. A TFLite file gives none, so attacks are transferred from the
reference. Exit code 1 if an artifact misses a threshold: --max_flip_rate is the share of clean images on which its
prediction differs from the reference's; --min_robust_accuracy holds for each attack that has a radius.
"""

from absl import flags

import tfrobust as tfr
from export.thresholds import Thresholds, missed
from tfrobust.cli import attacks, data, program, quiet

REFERENCE = flags.DEFINE_string("reference", None, "The .keras file that the artifacts came from.", required=True)
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
    plan, source = attacks.from_flags(), data.from_flags()
    thresholds = Thresholds(MIN_ROBUST_ACCURACY.value, MAX_FLIP_RATE.value)
    quiet.start_tensorflow()
    if thresholds.min_robust_accuracy is not None and not any(attack.ball for attack in plan.parsed()):
        raise tfr.InputError("--min_robust_accuracy needs an --attack with a radius, such as 'pgd(linf(8/255))'")
    paths = [REFERENCE.value, *ARTIFACT.value]
    expected, *evaluations = attacks.evaluate(plan, source, paths, surrogate=REFERENCE.value)
    flip_rates = [float((found.predictions != expected.predictions).mean()) for found in evaluations]
    print(tfr.evaluation.table([expected, *evaluations]))
    for found, flip_rate in zip(evaluations, flip_rates):
        print(f"{found.report['model']}: {flip_rate:.2%} of the clean predictions differ from the reference's")
    artifacts = [{**found.report, "flip_rate": rate} for found, rate in zip(evaluations, flip_rates)]
    failures = [line for artifact in artifacts for line in missed(thresholds, artifact)]
    attacks.save(plan, {**expected.report, "artifacts": artifacts, "failures": failures}, [expected, *evaluations])
    for failure in failures:
        print(f"failed: {failure}")
    return 1 if failures else 0


flags.adopt_module_key_flags(attacks)
flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
