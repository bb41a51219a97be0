"""How near each attack comes to the best that is known: AttackBench's optimality, of ours beside three other libraries.

    python -m benchmarks.optimality --model=runs/lenet/model.keras --dataset=mnist --output=runs/optimality/lenet

Every attack may use the same number of forward and backward passes an image (Cinà et al., AAAI 2025). What counts is the
curve of the accuracy that it leaves by distance: `score.optimality` is 1 for an attack that finds, of each image, the smallest
perturbation that any of all the attacks found, and 0 for one that finds nothing. An attack in a ball finds a smallest perturbation
by halving the radius, image by image (`search`).

The first call installs the peers in a virtual environment of their own, runs/optimality-venv, and goes on there. Prints a table
and writes optimality.json and optimality.png; what an earlier call has finished is taken from there.
"""

import json
import pathlib

from absl import flags

from benchmarks import measure
from benchmarks.peers import environment
from tfrobust import files
from tfrobust.cli import data, program

PEERS = ("foolbox", "art", "torchattacks")
NORMS = ("linf", "l2", "l1", "l0")
MODEL = flags.DEFINE_string("model", None, "A trained .keras file.", required=True)
DATASET = flags.DEFINE_string("dataset", "digits", "Where the images come from: the first test images.")
EXAMPLES = flags.DEFINE_integer("examples", 100, "How many of them.", lower_bound=2)
NORM = flags.DEFINE_multi_enum("norm", list(NORMS), list(NORMS), "In which.")
PEER = flags.DEFINE_multi_enum("peer", list(PEERS), [*PEERS, "none"], "With whom.")
PASSES = flags.DEFINE_integer("passes", 2000, "Forward and backward passes an image.", lower_bound=80)
OUTPUT = flags.DEFINE_string("output", None, "The folder for the results.", required=True)


def main():
    chosen = [name for name in PEER.value if name != "none"]
    environment.enter(chosen, "optimality")
    measure.pin_to_one_core()
    from benchmarks.optimality import picture, sides, table

    test = data.from_flags().load(DATASET.value, "test").take(EXAMPLES.value)
    problem = sides.pose(MODEL.value, test)
    folder = pathlib.Path(OUTPUT.value)
    asked = {"model": MODEL.value, "dataset": DATASET.value, "examples": EXAMPLES.value, "passes": PASSES.value}
    results = folder / "optimality.json"
    report = json.loads(results.read_text()) if results.exists() else {}
    if {key: report.get(key) for key in asked} != asked:
        report = {**asked, "versions": {}, "attacks": []}
    report["versions"] |= environment.versions(chosen)
    finished = {(row["side"], row["norm"], row["attack"]) for row in report["attacks"]}
    for side in ["tfrobust", *chosen]:
        for norm in NORM.value:
            for name, attack in sides.attacks(side, norm, problem, PASSES.value).items():
                if (side, norm, name) in finished:
                    continue
                report["attacks"].append(sides.measured(side, norm, name, attack, problem))
                print(table.line(report["attacks"][-1]), flush=True)
                with files.written(results) as path:
                    path.write_text(json.dumps(report) + "\n")
    print(table.table(report))
    with files.written(folder / "optimality.png") as path:
        path.write_bytes(picture.curves(report))


flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
