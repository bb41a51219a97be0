"""What attacks and training steps cost in this checkout and in another, run by run in turn, on one core.

    git worktree add ../before COMMIT
    python -m benchmarks.two_checkouts --other=../before --model=runs/reference/model.keras --dataset=mnist

Each side is a process that has compiled every task several times over, since one and the same graph compiled twice can
differ by a quarter in speed; the two answer in turn, so that a noisy machine disturbs both alike. Prints the median
milliseconds of either side and the median ratio of the pairs.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

TASKS = {
    "pgd": "pgd(linf(0.1), steps=40)",
    "deepfool": "deepfool()",
    "carlini_wagner": "carlini_wagner(searches=4, steps=100)",
    "auto_attack": "auto_attack(linf(0.1))",
    "deep_defense": "a training step of Deep Defense",
}


def work(model, dataset, examples, copies):
    """The process of one side: reads "TASK COPY" line by line, runs that, and answers with the seconds."""
    from benchmarks import measure

    measure.pin_to_one_core()
    import time

    import tensorflow as tf

    import tfrobust as tfr

    test = tfr.data.load(dataset, "test").take(examples)
    images, labels = tf.constant(test.floats()), tf.constant(test.labels.astype("int32"))
    network = tfr.targets.load_model(model)
    functions = {
        f"{task} {copy}": _compiled(tfr, tf, task, network, images, labels) for copy in range(copies) for task in TASKS
    }
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.process_time()  # of the one core: another process that has it meanwhile does not count
        functions[line.strip()]()
        print(time.process_time() - started, flush=True)


def _compiled(tfr, tf, task, network, images, labels):
    if task != "deep_defense":
        attack = tfr.attacks.parse(TASKS[task])
        run = tf.function(lambda: attack(lambda x: network(x, training=False), images, labels, seed=0))
        return lambda: run().numpy()
    import keras

    model = tfr.defenses.DeepDefense(keras.models.clone_model(network))
    model.network.set_weights(network.get_weights())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-12, momentum=0.9), loss, metrics=["accuracy"])
    return lambda: model.train_on_batch(images, labels)


def start(checkout, arguments):
    """The process of one side: this very file, which the other checkout may not have, with that checkout's packages."""
    return subprocess.Popen(
        [sys.executable, __file__, "--side", json.dumps(arguments)],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", type=pathlib.Path, required=True, help="the checkout to compare with")
    parser.add_argument("--model", type=pathlib.Path, required=True, help="a trained .keras file")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--copies", type=int, default=5, help="how often each side compiles each task")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=list(TASKS))
    options = parser.parse_args()
    arguments = (str(options.model.resolve()), options.dataset, options.examples, options.copies)
    here = pathlib.Path(__file__).resolve().parents[1]
    sides = [start(checkout, arguments) for checkout in (here, options.other.resolve())]
    for side in sides:
        if side.stdout.readline().strip() != "ready":
            sys.exit("a side could not start: see what it printed above")

    def seconds(side, task, copy):
        side.stdin.write(f"{task} {copy}\n")
        return float(side.stdout.readline())

    print(f"{'task':48}{'here ms':>10}{'other ms':>10}{'ratio':>8}")
    for task in options.tasks:
        pairs = []
        for round_number in range(options.rounds + 1):  # the first traces
            for copy in range(options.copies):
                pair = [seconds(side, task, copy) for side in sides]
                if round_number:
                    pairs.append(pair)
        medians = [statistics.median(values) * 1000 for values in zip(*pairs)]
        ratio = medians[0] / medians[1]
        print(f"{TASKS[task]:48}{medians[0]:10.1f}{medians[1]:10.1f}{ratio:8.3f}", flush=True)
    for side in sides:
        side.stdin.close()
        side.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        work(*json.loads(sys.argv[2]))
    else:
        main()
