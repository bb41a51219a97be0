"""Black-box robustness: makes attacks on source models and shows them to others.

    python -m trainers.transfer --source=runs/densenet121/model.keras --source=runs/vgg19/model.keras \\
        --model=runs/normal/model.keras --model=runs/0.7_shallow/model.keras --dataset=cifar10 --examples=1000 \\
        --attack='fgsm(linf(16/255))' --attack='pgd(linf(16/255), steps=20, step_size=1/255)' --output=runs/transfer

A model's defense rate is the share of adversarial images that it classifies correctly, over the first --examples test
images that the source classifies correctly. Writes report.json, transfer.csv, and transfer.png to look at. The command above takes
about 3 minutes on two cores with the networks of the cifar_cpu_small flagfiles. --engine makes each source's part in a process
of its own.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import pathlib
import tempfile

from absl import flags

import tfrobust as tfr
from tfrobust import files
from tfrobust.cli import attacks, data, devices, engine_flags, program, quiet

MODEL = flags.DEFINE_multi_string("model", None, "What is attacked: .keras, SavedModel or .tflite.", required=True)
SOURCE = flags.DEFINE_multi_string("source", None, "What attacks are made on: .keras or SavedModel.", required=True)


def main():
    plan, source, engine = attacks.from_flags(), data.from_flags(), engine_flags.from_flags()
    if not plan.attacks:
        raise tfr.InputError("name at least one --attack, such as --attack='fgsm(linf(16/255))'")
    strategy = devices.from_flags().start()
    plan.parsed()
    folder = plan.output
    if folder:
        files.check_writable(folder)
    with strategy.scope():
        study = Study(plan, source, tuple(SOURCE.value), tuple(MODEL.value))
        result = study.spread(engine) if engine else study.transfer(study.sources)
    print(result.table())
    if folder and tfr.distribution.is_chief(strategy):
        with files.written(folder / "report.json") as path:
            path.write_text(json.dumps(result.report, indent=2) + "\n")
        with files.written(folder / "transfer.csv") as path:
            path.write_text(result.csv())
        with files.written(folder / "transfer.png") as path:
            path.write_bytes(result.picture())
        with files.written(folder / "report.html") as path:
            path.write_text(result.page(tfr.evaluation.provenance.of_run()), encoding="utf-8")
        print(f"report: {folder / 'report.html'}")


@dataclasses.dataclass(frozen=True)
class Study:
    """What is made on whom, and shown to whom: paths of models."""

    plan: attacks.AttackPlan
    source: data.DataSource
    sources: tuple[str, ...]
    models: tuple[str, ...]

    def transfer(self, sources: tuple[str, ...]) -> "tfr.evaluation.Transfer":
        """From some of the sources."""
        plan, (targets, test) = self.plan, self.loaded
        group = [[targets[path] for path in paths] for paths in (sources, self.models)]
        return tfr.evaluation.evaluate_transfer(
            *group, plan.attacks, test, None, examples=plan.examples, config=plan.config()
        )

    @functools.cached_property
    def loaded(self):
        """The targets by path, and the test images."""
        targets = attacks.load_targets(self.plan.form, [*self.sources, *self.models])
        accepted = tfr.evaluation.prepare.accepted(targets.values())
        return targets, self.source.load(self.plan.dataset, "test", **accepted)

    def spread(self, engine: engine_flags.EngineConfig) -> "tfr.evaluation.Transfer":
        """From all sources, each a task; those that are in --output already are not made again."""
        with contextlib.ExitStack() as stack:
            folder = self.plan.output or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            failures = engine.run(functools.partial(worker, self, folder), range(len(self.sources)), "source")
            if failures:
                lines = (f"{self.sources[index]}: {reason}" for index, reason in failures.items())
                raise tfr.InputError(f"attacks could not be made on {'; '.join(lines)}")
            found = [json.loads(self.path(folder, index).read_text()) for index in range(len(self.sources))]
        return tfr.evaluation.merged([tfr.evaluation.Transfer(report) for report in found])

    def path(self, folder: pathlib.Path, index: int) -> pathlib.Path:
        """Where a source's part goes: its name says what decides its contents."""
        files_of = [tfr.targets.identity.of_files(path) for path in (self.sources[index], *self.models)]
        form = self.plan.form
        how = (dataclasses.replace(self.plan, output=None), self.source, form.bounds, form.signature, form.output_name)
        decides = repr((how, files_of))
        return folder / "finished" / f"source-{hashlib.sha256(decides.encode()).hexdigest()[:16]}.json"


def worker(study: Study, folder: pathlib.Path):
    """In a process of its own: a function that makes the transfer from one source, given its number."""
    quiet.start_tensorflow()

    def work(index):
        path = study.path(folder, index)
        if not path.exists():
            report = study.transfer((study.sources[index],)).report
            with files.written(path) as temporary:
                temporary.write_text(json.dumps(report))

    return work


for module in (attacks, data, devices, engine_flags):
    flags.adopt_module_key_flags(module)

if __name__ == "__main__":
    program.run(main)
