"""What the programs that attack models share: their flags, and the evaluation of several models side by side."""

import pathlib
import shutil

from absl import flags

import tfrobust as tfr
from tfrobust import files
from trainers import program

DATASET = flags.DEFINE_string("dataset", "digits", "digits, mnist, cifar10, or an .npz file with images and labels.")
EXAMPLES = flags.DEFINE_integer("examples", None, "Use the first so many test images; default: all.", lower_bound=1)
ATTACK = flags.DEFINE_multi_string("attack", [], "Such as 'pgd(linf(8/255), steps=40)'; may be given several times.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of the attacks' random draws.", lower_bound=0)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Images attacked at a time.", lower_bound=1)
OUTPUT = flags.DEFINE_string("output", None, "Folder for report.json, report.html and pictures.png.")


def attacks():
    """The attacks of --attack."""
    return [tfr.attacks.parse(text) for text in ATTACK.value]


def evaluate(paths, source=None):
    """Attacks each model with every --attack. What is wrong with the flags or the models shows before the data loads.

    Args:
      paths: of the models, as `targets.load` takes them.
      source: path of the model on which attacks are made that another one does not allow, or None.

    Returns:
      An `Evaluation` for each path.
    """
    attacks()
    if OUTPUT.value:
        files.writable_folder(OUTPUT.value)
    models = {path: tfr.targets.load(path) for path in [*paths, source] if path}
    if source:
        models = {path: tfr.targets.WithSurrogate(model, models[source]) for path, model in models.items()}
    test = program.load_data(DATASET.value, "test").take(EXAMPLES.value)
    return [
        tfr.evaluate(
            models[path],
            test.floats(),
            test.labels,
            ATTACK.value,
            seed=SEED.value,
            batch_size=BATCH_SIZE.value,
            dataset=DATASET.value,
            finished=OUTPUT.value and pathlib.Path(OUTPUT.value) / "finished",
        )
        for path in paths
    ]


def save(report, evaluations):
    """Writes the report to --output, if it is given, and says where."""
    if OUTPUT.value:
        shutil.rmtree(pathlib.Path(OUTPUT.value) / "finished", ignore_errors=True)
        print(f"report: {tfr.evaluation.save(OUTPUT.value, report, evaluations)}")
