"""Attacks a model and reports how it holds, beside a baseline if one is given.

    python -m trainers.evaluate --model=runs/lenet/model.keras --dataset=mnist --examples=1000 \\
        --attack='pgd(linf(0.1), steps=40)' --attack='deepfool()' --output=runs/lenet/evaluate

--model takes a .keras file, a SavedModel directory or, with --source, a .tflite file. Writes report.json, report.html
and pictures.png. A thousand MNIST images with the two attacks above take about 10 seconds on two cores.
"""

from absl import flags

import tfrobust as tfr
from trainers import attacking, program, strategies

MODEL = flags.DEFINE_string("model", None, "The model: .keras, SavedModel directory or .tflite.", required=True)
BASELINE = flags.DEFINE_string("baseline", None, "A second model to show beside it, such as the one before a defence.")
SOURCE = flags.DEFINE_string("source", None, "Where gradient attacks are made if the model gives no gradients.")


def main():
    paths = [path for path in (BASELINE.value, MODEL.value) if path]
    strategy = strategies.make()
    with strategy.scope():
        *baseline, evaluation = attacking.evaluate(paths, SOURCE.value)
    strategies.wait_for_all(strategy)  # the others have written their batches too
    if not strategies.is_chief(strategy):
        return
    print(tfr.evaluation.table([*baseline, evaluation]))
    report = {**evaluation.report, **({"baseline": baseline[0].report} if baseline else {})}
    attacking.save(report, [*baseline, evaluation])


flags.adopt_module_key_flags(attacking)
flags.adopt_module_key_flags(program)
flags.adopt_module_key_flags(strategies)

if __name__ == "__main__":
    program.run(main)
