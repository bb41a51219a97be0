"""Puts one question to several models: a table, a CSV file and a picture, as the papers have them.

    python -m trainers.study --what=noise --model=runs/normal/model.keras --model=runs/0.7_shallow/model.keras \\
        --dataset=cifar10 --examples=1000 --output=runs/noise

    noise          accuracy by the size of clipped Gaussian noise (Random Mask, figure 3)
    patch_shuffle  accuracy with the patches of images in another order (Random Mask, table 3): with --confidence=0.99
                   on the images that every model classifies with more than that
    white_box      accuracy, rho_2, rho_inf, FGS at shares of eps_ref, and each --attack (Deep Defense, tables 1 and 2);
                   eps_ref is that of --reference, which is one of the models or a number
    accuracy       the accuracy alone, such as on a folder of stylized images: --dataset=FOLDER, with a folder per class

Writes study.csv, study.png and report.json to --output. What is finished of a model is kept there, so that a run which
was killed goes on. trainers.transfer has the matrix of attacks made on some models and shown to others.
"""

import dataclasses
import hashlib
import json

from absl import flags

import tfrobust as tfr
from tfrobust import files
from tfrobust.cli import attacks, data, devices, program

WHAT = ("noise", "patch_shuffle", "white_box", "accuracy")

MODEL = flags.DEFINE_multi_string("model", None, "A model: .keras, SavedModel or .tflite.", required=True)
STUDY = flags.DEFINE_enum("what", None, WHAT, "The question.", required=True)
SIGMAS = flags.DEFINE_list("sigmas", ["1", "2", "4", "8", "16", "32"], "noise: standard deviations on 0 to 255.")
GRIDS = flags.DEFINE_list("grids", ["2", "4", "8"], "patch_shuffle: patches to a side.")
CONFIDENCE = flags.DEFINE_float("confidence", None, "Only images that every model is surer of.", 0.0, 1.0)
REFERENCE = flags.DEFINE_string(
    "reference", None, "white_box: eps_ref, a number, or the model whose radius it is; default: the last model's."
)


def main():
    plan, source, paths, what = attacks.from_flags(), data.from_flags(), MODEL.value, STUDY.value
    sigmas, grids, confidence = _numbers("sigmas", SIGMAS.value), _numbers("grids", GRIDS.value), CONFIDENCE.value
    reference = REFERENCE.value or paths[-1]
    if len(set(paths)) < len(paths):
        raise tfr.InputError("--model names a model twice")
    devices.from_flags().start()
    targets, test = attacks.prepared(plan, source, paths)
    images, labels = test.floats(), test.labels
    if confidence is not None:
        chosen = _confident(targets, images, labels, confidence, plan.config())
        images, labels = images[chosen], labels[chosen]
        print(f"{len(chosen)} of {len(test.labels)} images are classified by every model with more than {confidence:g}")
    if what == "noise":
        study = tfr.evaluation.studies.Noise(sigmas)
    elif what == "patch_shuffle":
        study = tfr.evaluation.studies.PatchShuffle(tuple(map(int, grids)))
    elif what == "accuracy":
        study = tfr.evaluation.studies.Accuracy()
    else:
        radius = _radius(reference, targets, images, labels, plan.config())
        study = tfr.evaluation.studies.WhiteBox(plan.attacks or ("deepfool()",), radius)
        print(f"eps_ref {radius:.4f}, of {reference}")
    rows = [row for path in paths for row in _rows(study, path, targets[path], images, labels, plan)]
    print(study.table(rows))
    if plan.output:
        for name, contents in (
            ("study.csv", study.csv(rows).encode()),
            ("study.png", study.picture(rows)),
            ("report.json", json.dumps({"study": what, "rows": rows}, indent=2).encode() + b"\n"),
        ):
            with files.written(plan.output / name) as temporary:
                temporary.write_bytes(contents)
        print(f"report: {plan.output / 'report.json'}")


def _numbers(name, texts):
    try:
        return tuple(map(float, texts))
    except ValueError as error:
        raise tfr.InputError(f"--{name} must be numbers, got {','.join(texts)}") from error


def _confident(targets, images, labels, confidence, config):
    """Which images every model classifies with more than that confidence."""
    predictors = [tfr.evaluation.prepare.at_logits(target, images, config)[1] for target in targets.values()]
    chosen = tfr.evaluation.studies.confident(predictors, images, labels, confidence)
    if not len(chosen):
        raise tfr.InputError(f"no image is classified by every model with a confidence above {confidence:g}")
    return chosen


def _radius(reference, targets, images, labels, config):
    """eps_ref: a number, or the radius at which FGS halves the accuracy of a model."""
    try:
        return float(reference)
    except ValueError:
        if reference not in targets:
            raise tfr.InputError(f"--reference={reference} is neither a number nor one of the models") from None
    target, _ = tfr.evaluation.prepare.at_logits(targets[reference], images, config)
    target.attacked_by(tfr.attacks.parse("fgsm(linf(0.1))"))
    _, radius = tfr.evaluation.metrics.fgsm_rho_inf(target.logits, images, labels)
    if radius > 1:
        raise tfr.InputError(f"FGS never halves the accuracy of {reference}: give --reference a number")
    return radius


def _rows(study, path, target, images, labels, plan):
    """The rows of a model: read where an earlier run has finished them."""
    if not plan.output:
        return study.rows(target, images, labels, plan.config())
    content = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    how = dataclasses.replace(plan, output=None)
    decides = repr((study, how, plan.form, path, tfr.targets.identity.of_files(path), content))
    finished = plan.output / "finished" / f"{study.name}-{hashlib.sha256(decides.encode()).hexdigest()[:16]}.json"
    if not finished.exists():
        rows = study.rows(target, images, labels, plan.config())
        with files.written(finished) as temporary:
            temporary.write_text(json.dumps(rows))
    return json.loads(finished.read_text())


for module in (attacks, data, devices):
    flags.adopt_module_key_flags(module)

if __name__ == "__main__":
    program.run(main)
