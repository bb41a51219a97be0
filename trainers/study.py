"""Puts one question to several models: a table, a CSV file and a picture, as the papers have them.

    python -m trainers.study --what=noise --model=runs/normal/model.keras --model=runs/0.7_shallow/model.keras \\
        --dataset=cifar10 --examples=1000 --output=runs/noise

    noise          accuracy by the size of clipped Gaussian noise (Random Mask, figure 3)
    patch_shuffle  accuracy with the patches of images in another order (Random Mask, table 3): with --confidence=0.99
                   on the images that every model classifies with more than that
    white_box      accuracy, rho_2, rho_inf, FGS at shares of eps_ref, and each --attack (Deep Defense, tables 1 and 2);
                   eps_ref is that of --reference, which is one of the models or a number
    corruptions    accuracy under common corruptions at five severities, and mCE (Hendrycks and Dietterich, ICLR 2019)
    accuracy       the accuracy alone, such as on a folder of stylized images: --dataset=FOLDER, with a folder per class

A --model with a star, such as runs/mlp_parseval/seed_*/model.keras, is a row of all models that it matches: their means
and standard deviations. Writes study.csv, study.png and report.json to --output. What is finished of a model is kept
there, so that a run which was killed goes on. trainers.transfer has the matrix of attacks made on some models and shown to others.
"""

import dataclasses
import glob
import hashlib
import json

from absl import flags

import tfrobust as tfr
from tfrobust import files
from tfrobust.cli import attacks, data, devices, lists, program

WHAT = ("noise", "patch_shuffle", "corruptions", "white_box", "accuracy")

MODEL = flags.DEFINE_multi_string(
    "model", None, "A model: .keras, SavedModel or .tflite; with * several.", required=True
)
STUDY = flags.DEFINE_enum("what", None, WHAT, "The question.", required=True)
SIGMAS = flags.DEFINE_list("sigmas", ["1", "2", "4", "8", "16", "32"], "noise: standard deviations on 0 to 255.")
GRIDS = flags.DEFINE_list("grids", ["2", "4", "8"], "patch_shuffle: patches to a side.")
CONFIDENCE = flags.DEFINE_float("confidence", None, "Only images that every model is surer of.", 0.0, 1.0)
REFERENCE = flags.DEFINE_string(
    "reference", None, "white_box: eps_ref, a number, or the model whose radius it is; default: the last model's."
)


def main():
    plan, source, confidence = attacks.from_flags(), data.from_flags(), CONFIDENCE.value
    groups = {name: _matching(name) for name in MODEL.value}
    paths = [path for group in groups.values() for path in group]
    if len(set(paths)) < len(paths) or len(groups) < len(MODEL.value):
        raise tfr.InputError("--model names a model twice")
    devices.from_flags().start()
    study = _study()
    targets, test = attacks.prepared(plan, source, paths)
    images, labels = test.floats(), test.labels
    if confidence is not None:
        chosen = _confident(targets, images, labels, confidence, plan.config())
        images, labels = images[chosen], labels[chosen]
        print(f"{len(chosen)} of {len(test.labels)} images are classified by every model with more than {confidence:g}")
    if isinstance(study, tfr.evaluation.studies.WhiteBox):
        reference = REFERENCE.value or MODEL.value[-1]
        found = [targets[path] for path in groups.get(reference, [])]
        radius = _radius(reference, found, images, labels, plan.config())
        study = dataclasses.replace(study, attacks=plan.attacks or study.attacks, reference=radius)
        print(f"eps_ref {radius:.4f}, of {reference}")
    of_path = {path: _rows(study, path, targets[path], images, labels, plan) for path in paths}
    rows = [row for name, group in groups.items() for row in _together(name, [of_path[path] for path in group])]
    print(study.table(rows))
    if plan.output:
        _save(plan.output, study, rows, {"study": study.name, "rows": rows, "of_each_model": of_path})


def _study():
    """What the flags ask; of the white-box table, without its radius and attacks."""
    sigmas, grids = lists.numbers("sigmas", SIGMAS.value), lists.numbers("grids", GRIDS.value)
    return {
        "noise": tfr.evaluation.studies.Noise(sigmas),
        "patch_shuffle": tfr.evaluation.studies.PatchShuffle(tuple(map(int, grids))),
        "corruptions": tfr.evaluation.studies.CommonCorruptions(),
        "white_box": tfr.evaluation.studies.WhiteBox(),
        "accuracy": tfr.evaluation.studies.Accuracy(),
    }[STUDY.value]


def _save(output, study, rows, report):
    for name, contents in (
        ("study.csv", study.csv(rows).encode()),
        ("study.png", study.picture(rows)),
        ("report.json", json.dumps(report, indent=2).encode() + b"\n"),
    ):
        with files.written(output / name) as temporary:
            temporary.write_bytes(contents)
    print(f"report: {output / 'report.json'}")


def _matching(path):
    """The models of a --model: itself, or those that it matches."""
    if "*" not in path:
        return [path]
    found = sorted(glob.glob(path))
    if not found:
        raise tfr.InputError(f"--model={path} matches no file")
    return found


def _together(name, models):
    """The rows of a --model."""
    return models[0] if "*" not in name else tfr.evaluation.studies.averaged(name, models)


def _confident(targets, images, labels, confidence, config):
    """Which images every model classifies with more than that confidence."""
    predictors = [tfr.evaluation.prepare.at_logits(target, images, config)[1] for target in targets.values()]
    chosen = tfr.evaluation.studies.confident(predictors, images, labels, confidence)
    if not len(chosen):
        raise tfr.InputError(f"no image is classified by every model with a confidence above {confidence:g}")
    return chosen


def _radius(reference, targets, images, labels, config):
    """eps_ref: a number, or the radius at which FGS halves the accuracy of a model; of several, the mean."""
    try:
        return float(reference)
    except ValueError:
        if not targets:
            raise tfr.InputError(f"--reference={reference} is neither a number nor one of the models") from None
    radii = []
    for target in targets:
        attacked, _ = tfr.evaluation.prepare.at_logits(target, images, config)
        attacked.attacked_by(tfr.attacks.parse("fgsm(linf(0.1))"))
        radii.append(tfr.evaluation.metrics.fgsm_rho_inf(attacked.logits, images, labels)[1])
    if max(radii) > 1:
        raise tfr.InputError(f"FGS never halves the accuracy of {reference}: give --reference a number")
    return sum(radii) / len(radii)


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
