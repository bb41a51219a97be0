"""Attacks exported artifacts and compares them with the model they came from.

    python -m export.verify --reference=runs/lenet/model.keras --artifact=lenet_int8.tflite --artifact=models/lenet \\
        --dataset=mnist --examples=500 --attack='pgd(linf(0.1), steps=20)' \\
        --min_robust_accuracy=0.5 --max_flip_rate=0.01 --output=runs/verify

A SavedModel is attacked through its own gradients, a TFLite file twice: by attacks that are transferred from the reference,
and by the same attacks on the file's own graph, its integers differentiated straight through.

Exit code 1 if an artifact misses a threshold: that of its precision (or --max_logit_error) for the difference of its logits
from the reference's, on clean and on adversarial images; --max_flip_rate for the share of clean images on which its prediction
differs; --min_robust_accuracy for each attack that has a radius.
"""

from absl import flags

import tfrobust as tfr
from export import conformance
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
MAX_LOGIT_ERROR = flags.DEFINE_float(
    "max_logit_error",
    None,
    "Fail if the root mean square of the difference of logits, over their spread, is larger; default by precision: "
    f"{', '.join(f'{name} {limit:g}' for name, limit in conformance.LIMITS.items())}.",
    lower_bound=0.0,
)
_ADVERSARIAL = 200  # adversarial images, of all attacks together, on which logits are compared


def main():
    plan, source = attacks.from_flags(), data.from_flags()
    thresholds, limit = Thresholds(MIN_ROBUST_ACCURACY.value, MAX_FLIP_RATE.value), MAX_LOGIT_ERROR.value
    quiet.start_tensorflow()
    if thresholds.min_robust_accuracy is not None and not any(attack.ball for attack in plan.parsed()):
        raise tfr.InputError("--min_robust_accuracy needs an --attack with a radius, such as 'pgd(linf(8/255))'")
    paths = [REFERENCE.value, *ARTIFACT.value]
    expected, *evaluations = attacks.evaluate(plan, source, paths, surrogate=REFERENCE.value)
    flip_rates = [float((found.predictions != expected.predictions).mean()) for found in evaluations]
    white_box = {path: _white_box(plan, source, path) for path in ARTIFACT.value if path.endswith(".tflite")}
    print(tfr.evaluation.table([expected, *evaluations, *filter(None, white_box.values())]))
    reference, *targets = attacks.load_targets(plan.form, paths).values()
    images, artifacts, failures = _compared(expected), [], []
    for path, target, found, flip_rate in zip(ARTIFACT.value, targets, evaluations, flip_rates):
        print(f"{path}: {flip_rate:.2%} of the clean predictions differ from the reference's")
        precision = conformance.precision_of(target)
        differences = {kind: conformance.difference(reference, target, shown) for kind, shown in images.items()}
        for kind, one in differences.items():
            print(
                f"{path}: on {kind} images its logits differ by {one.largest:.2g} at most, {one.relative_rms:.2g} of their spread"
            )
        own = white_box.get(path)
        artifact = {**found.report, "flip_rate": flip_rate, "precision": precision}
        artifact["attacks"] = found.report["attacks"] + (own.report["attacks"] if own else [])
        artifact["conformance"] = {kind: one._asdict() for kind, one in differences.items()}
        artifacts.append(artifact)
        failures += conformance.missed(path, precision, conformance.limit_of(precision, limit), differences)
        failures += missed(thresholds, artifact)
    evaluations = [expected, *evaluations, *filter(None, white_box.values())]
    attacks.save(plan, {**expected.report, "artifacts": artifacts, "failures": failures}, evaluations)
    for failure in failures:
        print(f"failed: {failure}")
    return 1 if failures else 0


def _white_box(plan, source, path):
    """The evaluation of a TFLite file through its own graph; None if that cannot be made, which is said."""
    try:
        (found,) = attacks.evaluate(plan, source, [path])
    except tfr.InputError as error:
        print(f"no attack on its own graph: {error}")
        return None
    return found


def _compared(expected) -> dict:
    """Images on which logits are compared: clean ones, and those that attacks made of them on the reference."""
    import numpy as np

    images = {"clean": expected.images}
    if expected.outcomes:
        each = -(-_ADVERSARIAL // len(expected.outcomes))
        images["adversarial"] = np.concatenate([np.asarray(one.adversarial[:each]) for one in expected.outcomes])
    return images


flags.adopt_module_key_flags(attacks)
flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
