"""Attacks a model and reports how robust it is, beside a baseline if one is given.

    python -m trainers.evaluate --model=runs/lenet/model.keras --dataset=mnist --examples=1000 \\
        --attack='pgd(linf(0.1), steps=40)' --attack='deepfool()' --output=runs/lenet/evaluate

--model takes a .keras file, a SavedModel directory, a .tflite file or the address of a served model. Writes report.json,
report.html, pictures.png and, for CI systems, junit.xml and results.sarif; the page says what each warning was found by. A
thousand MNIST images with the two attacks above take about 10 seconds on two cores. With --min_robust_accuracy the exit code
is 1 if an attack with a radius leaves less.
--corruption=all asks about images under common corruptions, too: corruptions.csv and corruptions.png. --shards shares
the examples among processes or machines: docs/fleet.md.
"""

from absl import flags

import tfrobust as tfr
from tfrobust import files
from tfrobust.cli import attacks, data, devices, program, shards
from tfrobust.errors import unknown

MODEL = flags.DEFINE_string("model", None, "The model: .keras, SavedModel directory or .tflite.", required=True)
BASELINE = flags.DEFINE_string("baseline", None, "A second model to show beside it, such as the undefended one.")
CORRUPTION = flags.DEFINE_list(
    "corruption", None, "Common corruptions at five severities beside the attacks: all, or such as fog,motion_blur."
)
MIN_ROBUST_ACCURACY = flags.DEFINE_float(
    "min_robust_accuracy", None, "Fail below this under any attack with a radius.", lower_bound=0.0, upper_bound=1.0
)
SOURCE = flags.DEFINE_string(
    "source", None, "A surrogate: where gradient attacks are made if the model has no gradients."
)


def main() -> int:
    plan, source, campaign = attacks.from_flags(), data.from_flags(), shards.from_flags()
    if campaign:
        return share(shards.Shared(campaign, plan, source, MODEL.value, SOURCE.value))
    strategy = devices.from_flags().start()
    plan.check_threshold(MIN_ROBUST_ACCURACY.value)
    study = _corruptions(CORRUPTION.value)
    paths = [path for path in (BASELINE.value, MODEL.value) if path]
    with strategy.scope():
        targets, test = attacks.prepared(plan, source, paths, surrogate=SOURCE.value)
        *baseline, evaluation = attacks.evaluate(plan, targets, test, paths)
    tfr.distribution.wait_for_all(strategy)  # the others have written their batches too
    if not tfr.distribution.is_chief(strategy):
        return 0
    if baseline:
        evaluation.report["warnings"].extend(tfr.evaluation.checks.ablation(evaluation.report, baseline[0].report))
    print(tfr.evaluation.table([*baseline, evaluation], evidence=not plan.output))
    report = {**evaluation.report, **({"baseline": baseline[0].report} if baseline else {})}
    more: list[tfr.evaluation.Section] = []
    if study:
        report["corruptions"], more = corrupt(study, plan, [targets[path] for path in paths], test)
    return judged(plan, report, [*baseline, evaluation], more)


def judged(plan: attacks.AttackPlan, report: dict, evaluations, more=()) -> int:
    """Writes the report, says whether the last model reaches --min_robust_accuracy, and returns the exit code."""
    checks = tfr.evaluation.thresholds.Thresholds(MIN_ROBUST_ACCURACY.value).by_attack(report)
    failed = [line for lines in checks.values() for line in lines]
    for line in failed:
        print(f"failed: {line}")
    attacks.save(plan, report, evaluations, checks={report["model"]: checks}, more=more)
    return int(bool(failed))


def corrupt(
    study: "tfr.evaluation.studies.CommonCorruptions", plan: attacks.AttackPlan, targets, test
) -> tuple[list, list]:
    """Asks the models about corrupted images: prints the table, writes corruptions.csv and .png; returns rows and sections of the page."""
    rows = [row for target in targets for row in study.rows(target, test.floats(), test.labels, plan.config())]
    print(study.table(rows))
    if not plan.output:
        return rows, []
    section = study.section(rows)
    for name, contents in (("corruptions.csv", study.csv(rows).encode()), ("corruptions.png", section.figure.light)):
        with files.written(plan.output / name) as temporary:
            temporary.write_bytes(contents)
    return rows, [section]


def _corruptions(names):
    """The study of the corruptions of these names, or None."""
    if names is None:
        return None
    known = tfr.evaluation.common_corruptions.NAMES
    names = known if names == ["all"] else tuple(dict.fromkeys(names))
    for name in names:
        if name not in known:
            raise tfr.InputError(f"--corruption: {unknown('corruption', name, ['all', *known])}")
    return tfr.evaluation.studies.CommonCorruptions(names)


def share(shared: shards.Shared) -> int:
    """Does its part of an evaluation that several processes share."""
    for name, value in (("baseline", BASELINE.value), ("corruption", CORRUPTION.value)):
        if value:
            raise tfr.InputError(f"--{name} is evaluated in one process: leave out --shards, or --{name}")
    evaluation = shared.evaluation()
    if evaluation is None:
        return 0
    print(evaluation.table())
    return judged(shared.plan, evaluation.report, [evaluation])


for module in (attacks, data, devices, shards):
    flags.adopt_module_key_flags(module)

if __name__ == "__main__":
    program.run(main)
