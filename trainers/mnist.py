"""Trains the MNIST networks of Deep Defense, plainly or with Deep Defense.

    python -m trainers.mnist --flagfile=trainers/configs/mnist_lenet.flags --workdir=runs/lenet
    python -m trainers.mnist --flagfile=trainers/configs/mnist_lenet_deep_defense.flags \\
        --init_weights=runs/lenet/model.keras --workdir=runs/lenet_deep_defense

On two cores the first takes about 3 minutes, the second about 15. docs/results.md has the numbers to expect.
"""

import time

from absl import flags

from trainers import common, defending, program, strategies

DATASET = flags.DEFINE_string("dataset", "mnist", "digits, mnist, or another data set of small grey images.")
MODEL = flags.DEFINE_enum("model", "lenet", ["lenet", "mlp"], "The network; ignored with a .keras --init_weights.")


def main():
    import keras

    started = time.monotonic()
    strategy = strategies.make()
    keras.utils.set_random_seed(common.SEED.value)
    train, validation, test = common.load_splits(DATASET.value)
    network = common.make_network(MODEL.value, train)
    history = common.fit(strategy, defending.defend, network, train, validation)
    if strategies.is_chief(strategy):
        common.finish(network, test, history, started, **common.perturbation_metrics(network, test))


flags.adopt_module_key_flags(common)
flags.adopt_module_key_flags(defending)

if __name__ == "__main__":
    program.run(main)
