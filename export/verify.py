"""Attacks exported artifacts and compares them with the model they came from.

    python -m export.verify --reference=runs/lenet/model.keras --artifact=lenet_int8.tflite --artifact=models/lenet \\
        --dataset=mnist --examples=500 --attack='pgd(linf(0.1), steps=20)' \\
        --min_robust_accuracy=0.5 --max_flip_rate=0.01 --output=runs/verify

Each attack is made once on the reference and shown to every artifact. It is also made on each artifact itself: through a
SavedModel's own gradients, and for the first --own_examples images through a TFLite file's own graph, its integers
differentiated straight through. These images are also attacked by two attacks that need no gradients, from scores and from
decisions, with --queries questions each. docs/deployment.md explains what else is looked at.

Exit code 1 if an artifact misses a threshold: that of its precision (or --max_logit_error) for the difference of its logits
from the reference's, on clean and on adversarial images; --max_flip_rate for the share of clean images on which its prediction
differs; --min_robust_accuracy for each attack that has a radius; or if a file is not what its manifest says. --output gets
report.json, report.html and, for CI systems, junit.xml and results.sarif.
"""

from absl import flags

import tfrobust as tfr
from export import conformance
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
MAX_LOGIT_ERROR = flags.DEFINE_float(
    "max_logit_error",
    None,
    "Fail if the root mean square of the difference of logits, over their spread, is larger; default by precision: "
    f"{', '.join(f'{name} {limit:g}' for name, limit in conformance.LIMITS.items())}.",
    lower_bound=0.0,
)
OWN_EXAMPLES = flags.DEFINE_integer(
    "own_examples", 50, "How many of the images are attacked on each artifact itself.", lower_bound=0
)
QUERIES = flags.DEFINE_integer(
    "queries", 100, "Of the score-based and of the decision-based attack on each of these; 0: neither.", lower_bound=0
)
DEVICE_RESULT = flags.DEFINE_multi_string(
    "device_result",
    [],
    "result.json of a device that ran the pack of an artifact (export.device_pack); several allowed.",
)


def main():
    plan, source = attacks.from_flags(), data.from_flags()
    limit = MAX_LOGIT_ERROR.value
    own_examples, queries = OWN_EXAMPLES.value, QUERIES.value
    quiet.start_tensorflow()
    from export import verification, verification_text  # they need it
    from export.device import results

    thresholds = tfr.evaluation.thresholds.Thresholds(MIN_ROBUST_ACCURACY.value, MAX_FLIP_RATE.value)

    of_devices = [results.read(path) for path in DEVICE_RESULT.value]

    plan.check_threshold(thresholds.min_robust_accuracy)
    paths = dict.fromkeys(ARTIFACT.value)
    targets, test = attacks.prepared(plan, source, [REFERENCE.value, *paths])
    config = plan.config().changed(trained_with=attacks.trained_with(REFERENCE.value))
    found = verification.verify(
        targets[REFERENCE.value],
        {path: targets[path] for path in paths},
        test,
        verification.Plan(plan.parsed(), own_examples, queries, config),
    )
    found = results.beside(found, of_devices)
    checks = {one.path: one.checks(thresholds, limit) for one in found.artifacts}
    failures = [line for cases in checks.values() for lines in cases.values() for line in lines]
    verdict = verification_text.verdict(checks)
    print("\n".join([*verdict, *verification_text.lines(found, everything=not plan.output)]))
    report = {
        **found.reference.report,
        "verdict": "failed" if failures else "passed",
        "artifacts": [one.report() for one in found.artifacts],
        "matrix": found.matrix,
        "failures": failures,
    }
    evaluations = [found.reference, *(one.native or one.transferred for one in found.artifacts)]
    attacks.save(plan, report, evaluations, verification_text.beside(found, verdict, checks), checks)
    return 1 if failures else 0


flags.adopt_module_key_flags(attacks)
flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
