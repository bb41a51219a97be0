"""Attacks a model and reports how robust it is, beside a baseline if one is given.

    python -m trainers.evaluate --model=runs/lenet/model.keras --dataset=mnist --examples=1000 \\
        --attack='pgd(linf(0.1), steps=40)' --attack='deepfool()' --output=runs/lenet/evaluate

--model takes a .keras file, a SavedModel directory, a .tflite file or the address of a served model. Writes report.json,
report.html and pictures.png. A thousand MNIST images with the two attacks above take about 10 seconds on two cores.
--shards shares the examples among processes or machines: docs/fleet.md.
"""

from absl import flags

import tfrobust as tfr
from tfrobust.cli import attacks, data, devices, program, shards

MODEL = flags.DEFINE_string("model", None, "The model: .keras, SavedModel directory or .tflite.", required=True)
BASELINE = flags.DEFINE_string("baseline", None, "A second model to show beside it, such as the undefended one.")
SOURCE = flags.DEFINE_string(
    "source", None, "A surrogate: where gradient attacks are made if the model has no gradients."
)


def main():
    plan, source, campaign = attacks.from_flags(), data.from_flags(), shards.from_flags()
    if campaign:
        share(shards.Shared(campaign, plan, source, MODEL.value, SOURCE.value))
        return
    strategy = devices.from_flags().start()
    paths = [path for path in (BASELINE.value, MODEL.value) if path]
    with strategy.scope():
        *baseline, evaluation = attacks.evaluate(plan, source, paths, surrogate=SOURCE.value)
    tfr.distribution.wait_for_all(strategy)  # the others have written their batches too
    if not tfr.distribution.is_chief(strategy):
        return
    if baseline:
        evaluation.report["warnings"].extend(tfr.evaluation.checks.ablation(evaluation.report, baseline[0].report))
    print(tfr.evaluation.table([*baseline, evaluation]))
    report = {**evaluation.report, **({"baseline": baseline[0].report} if baseline else {})}
    attacks.save(plan, report, [*baseline, evaluation])


def share(shared: shards.Shared) -> None:
    """Does its part of an evaluation that several processes share."""
    if BASELINE.value:
        raise tfr.InputError("--baseline is evaluated in one process: leave out --shards, or the baseline")
    evaluation = shared.evaluation()
    if evaluation:
        print(evaluation.table())
        attacks.save(shared.plan, evaluation.report, [evaluation])


for module in (attacks, data, devices, shards):
    flags.adopt_module_key_flags(module)

if __name__ == "__main__":
    program.run(main)
