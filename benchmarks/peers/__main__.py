"""tfrobust beside Foolbox, ART and CleverHans: same model, same images, same steps, one core, one run.

    python -m benchmarks.peers --model=runs/reference/model.keras --dataset=mnist [--attack=pgd ...] [--output=FILE.json]

The first call installs the peers in a virtual environment of their own, runs/peers-venv, and goes on there. Every
library is called as its users call it: tfrobust's attacks inside one tf.function, the peers on the model inside a
tf.function that takes any batch, after a call with few steps that warms it up. Times are processor time of this one
process. "x floor" is the time beside that of as many bare gradients (or forward passes, if the attack asks for no
gradients) of the whole batch as the model was asked for. "ours/its" relates the median perturbations of the images that
both broke. A peer that would take an hour is run on fewer images.
"""

import json

from absl import flags

from benchmarks import measure
from benchmarks.peers import comparisons, environment
from tfrobust import files
from tfrobust.cli import data, program

PEERS = ("foolbox", "art", "cleverhans")
MODEL = flags.DEFINE_string("model", None, "A trained .keras file.", required=True)
DATASET = flags.DEFINE_string("dataset", "digits", "Where the images come from: the first test images.")
ATTACK = flags.DEFINE_multi_enum("attack", list(comparisons.COMPARISONS), comparisons.COMPARISONS, "What to compare.")
PEER = flags.DEFINE_multi_enum("peer", list(PEERS), [*PEERS, "none"], "With whom.")
EXAMPLES = flags.DEFINE_integer("examples", 100, "Images in the batch.", lower_bound=2)
FEW = flags.DEFINE_integer("few", 10, "Images for a peer that would take an hour.", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", None, "Steps of every attack, for a trial; default: its own.", lower_bound=2)
ROUNDS = flags.DEFINE_integer("rounds", 7, "Repetitions, of attacks that take no minutes.", lower_bound=1)
OUTPUT = flags.DEFINE_string("output", None, "A .json file for the results.")


def main():
    chosen = [name for name in PEER.value if name != "none"]
    environment.enter(chosen)
    measure.pin_to_one_core()
    from benchmarks.peers import compare, table

    test = data.from_flags().load(DATASET.value, "test").take(EXAMPLES.value)
    problem = compare.pose(MODEL.value, test)
    peers = {name: compare.load(name, problem) for name in chosen}
    report = {"model": MODEL.value, "dataset": DATASET.value, "versions": environment.versions(chosen), "results": []}
    for name in ATTACK.value:
        comparison = comparisons.COMPARISONS[name]
        rounds = 1 if comparison.slow else ROUNDS.value
        result = compare.run(name, comparison, problem, peers, STEPS.value or comparison.steps, rounds, FEW.value)
        table.show(result)
        report["results"].append(result)
        if OUTPUT.value:
            with files.written(OUTPUT.value) as path:
                path.write_text(json.dumps(report, indent=2) + "\n")


flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
