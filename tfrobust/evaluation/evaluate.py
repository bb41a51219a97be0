"""Attacks a model, judges the attacks by one criterion and says how the model holds."""

from collections.abc import Iterable

from tfrobust import targets
from tfrobust.attacks import Attack
from tfrobust.evaluation import checks, columns, evidence, prepare, report
from tfrobust.evaluation.batches import FinishedBatches
from tfrobust.evaluation.config import EvaluationConfig
from tfrobust.evaluation.craft import AttackRunner, craft
from tfrobust.evaluation.judge import judge
from tfrobust.evaluation.outcome import worst_case
from tfrobust.evaluation.report import Evaluation


def evaluate(
    model,
    images,
    labels,
    attacks: Iterable[Attack | str],
    *,
    config: EvaluationConfig = EvaluationConfig(),  # noqa: B008, it is frozen
    **changes,
) -> Evaluation:
    """Attacks a model and reports how it holds.

    Args:
      model: a Keras model, a `Target`, or the path of a .keras file, a .tflite file or a SavedModel. Attacks that need
        more access than it allows are made on another model and transferred where it is `WithSurrogate(model, other)`.
      images: float32 [examples, height, width, channels] in [0, 1].
      labels: int [examples].
      attacks: specifications such as "pgd(linf(8/255))", or attacks.
      config: seed, batch size and the like.
      **changes: fields of the configuration to change, such as seed=1.

    Returns:
      An `Evaluation`.

    Raises:
      InputError: for images outside [0, 1] or of the wrong kind, a model that gives probabilities, an attack that
        needs more access than the model allows, or a change that is no field of the configuration.

    Example:
      >>> print(evaluate(model, images, labels, ["fgsm(linf(0.1))", "deepfool()"], seed=1).table())
    """
    config, target = config.changed(**changes), targets.as_target(model)
    named = prepare.named_attacks(attacks)
    images, labels = prepare.images_and_labels(images, labels, [target])
    runners = [AttackRunner(name, attack, target) for name, attack in named.items()]
    predictor = prepare.predictor(target, config.batch_size, len(images))
    logits = prepare.clean_logits(predictor, images, labels)
    predictions = logits.argmax(axis=1)
    examples = prepare.Examples(images, labels, attacked=predictions == labels)
    outcomes = []
    for runner in runners:
        finished = FinishedBatches(config.finished, runner.name, config.seed, predictor.batch_size, logits, labels)
        outcomes.append(judge(runner, craft(runner, predictor, examples, config, finished), examples, predictor))
    rows = [columns.row(outcome, target) for outcome in outcomes]
    found = evidence.gather(target, predictor, logits, examples, outcomes, rows, config)
    contents = {
        "model": target.name,
        "dataset": config.dataset,
        "examples": len(images),
        "seed": config.seed,
        "versions": report.versions(),
        "clean_accuracy": float(examples.attacked.mean()),
        "attacks": rows,
        "worst_case": {"robust_accuracy": worst_case(outcomes, examples)},
        "warnings": checks.warnings(found),
    }
    return Evaluation(contents, images, labels, predictions, outcomes)
