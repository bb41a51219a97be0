"""Black-box robustness: makes attacks on source models and shows them to others.

    python -m trainers.transfer --source=runs/densenet121/model.keras --source=runs/vgg19/model.keras \\
        --model=runs/normal/model.keras --model=runs/0.7_shallow/model.keras --dataset=cifar10 --examples=1000 \\
        --attack='fgsm(linf(16/255))' --attack='pgd(linf(16/255), steps=20, step_size=1/255)' --output=runs/transfer

A model's defence rate is the share of adversarial images that it classifies correctly, over the first --examples test
images that the source classifies correctly. Writes report.json, and transfer.png to look at. The command above takes
about 3 minutes on two cores with the networks of the cifar_cpu_small flagfiles.
"""

import json

from absl import flags

import tfrobust as tfr
from tfrobust import files
from trainers import attacking, program, strategies

MODEL = flags.DEFINE_multi_string("model", None, "What is judged: .keras, SavedModel or .tflite.", required=True)
SOURCE = flags.DEFINE_multi_string("source", None, "What attacks are made on: .keras or SavedModel.", required=True)


def main():
    attacks = attacking.attacks()
    if not attacks:
        raise tfr.InputError("name at least one --attack, such as --attack='fgsm(linf(16/255))'")
    folder = files.writable_folder(attacking.OUTPUT.value) if attacking.OUTPUT.value else None
    strategy = strategies.make()
    with strategy.scope():
        sources, models = ([tfr.targets.load(path) for path in paths] for paths in (SOURCE.value, MODEL.value))
        test = program.load_data(attacking.DATASET.value, "test")
        result = tfr.evaluation.evaluate_transfer(
            sources,
            models,
            attacking.ATTACK.value,
            test.floats(),
            test.labels,
            examples=attacking.EXAMPLES.value,
            seed=attacking.SEED.value,
            batch_size=attacking.BATCH_SIZE.value,
        )
    print(result.table())
    if folder and strategies.is_chief(strategy):
        with files.written(folder / "report.json") as path:
            path.write_text(json.dumps(result.report, indent=2) + "\n")
        with files.written(folder / "transfer.png") as path:
            path.write_bytes(result.picture())
        print(f"report: {folder / 'report.json'}")


for module in (attacking, program, strategies):
    flags.adopt_module_key_flags(module)

if __name__ == "__main__":
    program.run(main)
