"""The flags of programs that attack models, and the evaluation of several models side by side."""

import dataclasses
import pathlib
import shutil
from collections.abc import Mapping, Sequence

from absl import flags

import tfrobust as tfr
from tfrobust import files
from tfrobust.cli import endpoints, quiet
from tfrobust.cli.data import DataSource

DATASET = flags.DEFINE_string("dataset", "digits", "digits, a TFDS name, an .npz file, or a folder of class folders.")
EXAMPLES = flags.DEFINE_integer("examples", None, "Number of test images to use; default: all.", lower_bound=1)
ATTACK = flags.DEFINE_multi_string("attack", [], "Such as 'pgd(linf(8/255), steps=40)'; may be given several times.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of the attacks' random draws.", lower_bound=0)
BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "Images attacked at a time; default: 100, or as many as are 16 MiB of floats.", lower_bound=1
)
PIXELS = flags.DEFINE_enum(
    "pixels", "float", ["float", "uint8"], "uint8: the model sees the attacker's images as 8-bit files hold them."
)
OUTPUT = flags.DEFINE_string("output", None, "Folder for report.json, report.html, curves.png and pictures.png.")
ACTIVE_CHECKS = flags.DEFINE_boolean(
    "active_checks",
    None,
    "Make the checks that ask the model more (docs/report.md); default: of models in this process.",
)
SAVE_ADVERSARIAL = flags.DEFINE_string(
    "save_adversarial", None, "Folder for the adversarial images: PNG files in class folders, in a folder per attack."
)
BOUNDS = flags.DEFINE_list(
    "bounds", None, "Scale of the images that the models take: 0,255 for pixels, -1,1 centered; default: 0,1."
)
SIGNATURE = flags.DEFINE_string(
    "signature", None, "Signature of a SavedModel or a served model; default: serving_default or the only one."
)
OUTPUT_NAME = flags.DEFINE_string("output_name", None, "Which of a model's outputs holds the scores; default: logits.")


@dataclasses.dataclass(frozen=True)
class ModelForm:
    """How the files of models are opened: see `tfrobust.targets.load`.

    Attributes:
      bounds: texts of the two ends of the images' scale, or None.
      signature: for the SavedModels and addresses among the paths, or None.
      output_name: which output holds the scores, or None.
      endpoint: the fields of `tfrobust.targets.EndpointConfig`, for addresses.
    """

    bounds: tuple[str, ...] | None = None
    signature: str | None = None
    output_name: str | None = None
    endpoint: Mapping[str, object] = dataclasses.field(default_factory=dict)

    def load(self, path: str) -> "tfr.targets.Target":
        """The target of a path or an address."""
        served = tfr.targets.is_address(path)
        return tfr.targets.load(
            path,
            bounds=self.bounds,
            signature=self.signature if served or pathlib.Path(path).is_dir() else None,
            output_name=self.output_name,
            endpoint=tfr.targets.EndpointConfig(**self.endpoint) if served else None,
        )


@dataclasses.dataclass(frozen=True)
class AttackPlan:
    """What a program attacks with, on which images, and where the report goes.

    Attributes:
      attacks: specifications such as "pgd(linf(8/255))".
      dataset: the name of the data, or an .npz file.
      examples: how many test images; None: all.
      seed, batch_size: see `tfrobust.evaluate`.
      output: the report's folder, or None.
      pixels: see `tfrobust.evaluate`.
      active_checks: see `tfrobust.evaluate`.
      save_adversarial: the adversarial images' folder, or None.
      form: how the files of models are opened.
    """

    attacks: tuple[str, ...] = ()
    dataset: str = "digits"
    examples: int | None = None
    seed: int = 0
    batch_size: int | None = None
    output: pathlib.Path | None = None
    pixels: str = "float"
    active_checks: bool | None = None
    save_adversarial: pathlib.Path | None = None
    form: ModelForm = dataclasses.field(default=ModelForm(), repr=False)

    def parsed(self) -> list:
        """The attacks themselves.

        Raises:
          InputError: for a specification that does not parse.
        """
        return [tfr.attacks.parse(text) for text in self.attacks]

    def check_threshold(self, min_robust_accuracy: float | None) -> None:
        """Raises `InputError` for a threshold that no attack of the plan can be held to."""
        if min_robust_accuracy is not None and not any(attack.bounded for attack in self.parsed()):
            raise tfr.InputError("--min_robust_accuracy needs an --attack with a radius, such as 'pgd(linf(8/255))'")

    def config(self) -> "tfr.evaluation.EvaluationConfig":
        """The settings of the evaluation."""
        finished = self.output and self.output / "finished"
        return tfr.evaluation.EvaluationConfig(
            self.seed,
            self.batch_size,
            self.dataset,
            pixels=self.pixels,
            active_checks=self.active_checks,
            finished=finished,
        )


def from_flags() -> AttackPlan:
    """What the flags of this module say."""
    folders = [pathlib.Path(flag.value) if flag.value else None for flag in (OUTPUT, SAVE_ADVERSARIAL)]
    return AttackPlan(
        tuple(ATTACK.value),
        DATASET.value,
        EXAMPLES.value,
        SEED.value,
        BATCH_SIZE.value,
        output=folders[0],
        pixels=PIXELS.value,
        active_checks=ACTIVE_CHECKS.value,
        save_adversarial=folders[1],
        form=ModelForm(
            None if BOUNDS.value is None else tuple(BOUNDS.value),
            SIGNATURE.value,
            OUTPUT_NAME.value,
            endpoints.from_flags(folders[0]),
        ),
    )


flags.adopt_module_key_flags(endpoints)


def load_targets(form: ModelForm, paths: Sequence[str], surrogate: str | None = None) -> dict:
    """The target of each path. What native code says on loading is held back.

    Args:
      form: how the files are opened.
      paths: of the models.
      surrogate: path of the model on which attacks are made that another one does not allow, or None.
    """
    paths = [*paths, *([surrogate] if surrogate else [])]
    endpoints.refuse_two_hosts_for_a_token(paths)
    with quiet.held_back():
        targets = {path: form.load(path) for path in paths}
    if surrogate:
        return {path: tfr.targets.WithSurrogate(target, targets[surrogate]) for path, target in targets.items()}
    return targets


def prepared(plan: AttackPlan, data: DataSource, paths: Sequence[str], surrogate: str | None = None) -> tuple:
    """The target of each path, and the test images: what is wrong with the attacks, the output or the models shows first.

    Args:
      plan, data: what the flags say.
      paths: of the models, as `tfrobust.targets.load` takes them.
      surrogate: path of the model on which attacks are made that another one does not allow, or None.
    """
    plan.parsed()
    for folder in filter(None, (plan.output, plan.save_adversarial)):
        files.check_writable(folder)
    targets = load_targets(plan.form, paths, surrogate)
    test = data.load(plan.dataset, "test", plan.examples, **tfr.evaluation.prepare.accepted(targets.values()))
    return targets, test


def evaluate(plan: AttackPlan, targets: Mapping[str, "tfr.targets.Target"], test: "tfr.data.Split", paths) -> list:
    """Attacks each model with every attack of a plan.

    Args:
      plan: what the flags say.
      targets, test: as `prepared` gives them.
      paths: of the models, in order.

    Returns:
      A `tfrobust.evaluation.Evaluation` for each path.
    """
    config = plan.config()
    return [
        tfr.evaluate(targets[path], test, None, plan.attacks, config=config.changed(trained_with=trained_with(path)))
        for path in paths
    ]


def trained_with(path: str) -> str | None:
    """The attack that a trainer's run used, as the flags.txt beside its model.keras says; None without one."""
    flagfile = pathlib.Path(path).parent / "flags.txt"
    if not (pathlib.Path(path).suffix == ".keras" and flagfile.is_file()):
        return None
    written = dict(line.removeprefix("--").partition("=")[::2] for line in flagfile.read_text().splitlines())
    attacking = ("adversarial_training", "adversarial_set", "trades", "mart", "free", "fast")
    of_defense = {"deep_defense": "deepfool()", **dict.fromkeys(attacking, written.get("training_attack"))}
    return of_defense.get(written.get("defense", ""))


def save(
    plan: AttackPlan,
    report: dict,
    evaluations: Sequence,
    beside: "tfr.evaluation.Beside | None" = None,
    checks: "tfr.evaluation.ci.Checks | None" = None,
    more: "Sequence[tfr.evaluation.Section]" = (),
) -> None:
    """Writes the report and the last evaluation's adversarial images where the plan says, and says where.

    Args:
      plan: what the flags say.
      report, evaluations, beside, more: as of `tfrobust.evaluation.save`.
      checks: what was checked, for CI systems: see `tfrobust.evaluation.ci`.
    """
    if plan.output:
        shutil.rmtree(plan.output / "finished", ignore_errors=True)
        if checks is not None:
            tfr.evaluation.ci.write(plan.output, checks, [evaluation.report for evaluation in evaluations])
        print(f"report: {tfr.evaluation.save(plan.output, report, evaluations, beside, more)}")
    if plan.save_adversarial:
        print(f"adversarial images: {evaluations[-1].save_adversarial(plan.save_adversarial)}")
