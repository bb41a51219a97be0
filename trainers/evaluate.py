"""Attacks a model and reports how it holds, beside a baseline if one is given.

    python -m trainers.evaluate --model=runs/lenet/model.keras --dataset=mnist --examples=1000 \\
        --attack='pgd(linf(0.1), steps=40)' --attack='deepfool()' --output=runs/lenet/evaluate

--model takes a .keras file, a SavedModel directory or, with --source, a .tflite file. Writes report.json, report.html
and pictures.png. A thousand MNIST images with the two attacks above take about 10 seconds on two cores.
"""

from absl import flags

import tfrobust as tfr
from trainers import program

MODEL = flags.DEFINE_string("model", None, "The model: .keras, SavedModel directory or .tflite.", required=True)
BASELINE = flags.DEFINE_string("baseline", None, "A second model to show beside it, such as the one before a defence.")
SOURCE = flags.DEFINE_string("source", None, "Where gradient attacks are made if the model gives no gradients.")
DATASET = flags.DEFINE_string("dataset", "digits", "digits, mnist, cifar10, or an .npz file with images and labels.")
EXAMPLES = flags.DEFINE_integer("examples", None, "Use the first so many test images; default: all.", lower_bound=1)
ATTACK = flags.DEFINE_multi_string("attack", [], "Such as 'pgd(linf(8/255), steps=40)'; may be given several times.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of the attacks' random draws.", lower_bound=0)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Images attacked at a time.", lower_bound=1)
OUTPUT = flags.DEFINE_string("output", None, "Folder for report.json, report.html and pictures.png.")


def main():
    attacks = {text: tfr.attacks.parse(text) for text in ATTACK.value}  # a typing error shows before the data loads
    if OUTPUT.value:
        program.writable_folder(OUTPUT.value)
    models = [tfr.targets.load(path) for path in (BASELINE.value, MODEL.value) if path]
    test = tfr.data.load(DATASET.value, "test", program.DATA_DIR.value, program.DOWNLOAD.value).take(EXAMPLES.value)
    *baseline, evaluation = [
        tfr.evaluate(
            model,
            test.floats(),
            test.labels,
            list(attacks),
            source=SOURCE.value,
            seed=SEED.value,
            batch_size=BATCH_SIZE.value,
            dataset=DATASET.value,
        )
        for model in models
    ]
    print(tfr.evaluation.table([*baseline, evaluation]))
    if OUTPUT.value:
        report = {**evaluation.report, **({"baseline": baseline[0].report} if baseline else {})}
        print(f"report: {tfr.evaluation.save(OUTPUT.value, report, [*baseline, evaluation])}")


flags.adopt_module_key_flags(program)

if __name__ == "__main__":
    program.run(main)
