"""Black-box robustness: makes attacks on source models and shows them to others.

    python -m trainers.transfer --source=runs/densenet121/model.keras --source=runs/vgg19/model.keras \\
        --model=runs/normal/model.keras --model=runs/0.7_shallow/model.keras --dataset=cifar10 --examples=1000 \\
        --attack='fgsm(linf(16/255))' --attack='pgd(linf(16/255), steps=20, step_size=1/255)' --output=runs/transfer

A model's defense rate is the share of adversarial images that it classifies correctly, over the first --examples test
images that the source classifies correctly. Writes report.json, and transfer.png to look at. The command above takes
about 3 minutes on two cores with the networks of the cifar_cpu_small flagfiles.
"""

import json

from absl import flags

import tfrobust as tfr
from tfrobust import files
from tfrobust.cli import attacks, data, devices, program

MODEL = flags.DEFINE_multi_string("model", None, "What is attacked: .keras, SavedModel or .tflite.", required=True)
SOURCE = flags.DEFINE_multi_string("source", None, "What attacks are made on: .keras or SavedModel.", required=True)


def main():
    plan, source = attacks.from_flags(), data.from_flags()
    if not plan.attacks:
        raise tfr.InputError("name at least one --attack, such as --attack='fgsm(linf(16/255))'")
    strategy = devices.from_flags().start()
    plan.parsed()
    folder = plan.output
    if folder:
        files.check_writable(folder)
    with strategy.scope():
        targets = attacks.load_targets(plan.form, [*SOURCE.value, *MODEL.value])
        test = source.load(plan.dataset, "test", **tfr.evaluation.prepare.accepted(targets.values()))
        result = tfr.evaluation.evaluate_transfer(
            [targets[path] for path in SOURCE.value],
            [targets[path] for path in MODEL.value],
            plan.attacks,
            test,
            None,
            examples=plan.examples,
            config=plan.config(),
        )
    print(result.table())
    if folder and tfr.distribution.is_chief(strategy):
        with files.written(folder / "report.json") as path:
            path.write_text(json.dumps(result.report, indent=2) + "\n")
        with files.written(folder / "transfer.png") as path:
            path.write_bytes(result.picture())
        print(f"report: {folder / 'report.json'}")


for module in (attacks, data, devices):
    flags.adopt_module_key_flags(module)

if __name__ == "__main__":
    program.run(main)
