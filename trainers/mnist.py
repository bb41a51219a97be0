"""Trains the MNIST networks of Deep Defense, plainly or with Deep Defense.

    python -m trainers.mnist --flagfile=trainers/configs/mnist_lenet.flags --workdir=runs/lenet
    python -m trainers.mnist --flagfile=trainers/configs/mnist_lenet_deep_defense.flags \\
        --init_weights=runs/lenet/model.keras --workdir=runs/lenet_deep_defense

On two cores the first takes about 3 minutes, the second about 15. docs/results.md has the numbers to expect.
"""

import time

from absl import flags

import tfrobust as tfr
from trainers import common, program

DATASET = flags.DEFINE_string("dataset", "mnist", "digits, mnist, or another data set of small grey images.")
MODEL = flags.DEFINE_enum("model", "lenet", ["lenet", "mlp"], "The network; ignored with a .keras --init_weights.")
DEFENSE = flags.DEFINE_enum("defense", "none", ["none", "deep_defense"], "How to train.")
LAM = flags.DEFINE_float("lam", 15.0, "Deep Defense: weight of the regulariser.", lower_bound=0.0)
C = flags.DEFINE_float("c", 25.0, "Deep Defense: exp(-c rho_2) for right predictions.", lower_bound=0.0)
D = flags.DEFINE_float("d", 5.0, "Deep Defense: exp(d rho_2) for wrong predictions.", lower_bound=0.0)
DEEPFOOL_STEPS = flags.DEFINE_integer("deepfool_steps", 5, "Deep Defense: DeepFool iterations.", lower_bound=1)


def main():
    import keras

    started = time.monotonic()
    keras.utils.set_random_seed(common.SEED.value)
    train, test = (program.load_data(DATASET.value, split) for split in ("train", "test"))
    network = common.make_network(MODEL.value, train)
    if DEFENSE.value == "deep_defense":
        model = tfr.defenses.DeepDefense(network, LAM.value, C.value, D.value, steps=DEEPFOOL_STEPS.value)
    else:
        model = network
    batches = tfr.data.batches(train, common.BATCH_SIZE.value, seed=common.SEED.value, drop_remainder=True)
    if not len(batches):
        raise tfr.InputError(f"--batch_size={common.BATCH_SIZE.value} is more than the {len(train.labels)} examples")
    model.compile(
        optimizer=common.make_optimizer(steps_per_epoch=len(batches)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    workdir = common.open_workdir()
    history = model.fit(
        batches,
        validation_data=tfr.data.batches(test, batch_size=200),
        epochs=common.EPOCHS.value,
        callbacks=common.callbacks(workdir),
        shuffle=False,  # `batches` has done it
        verbose=common.verbosity(),
    ).history
    common.finish(workdir, network, test, history, started)


flags.adopt_module_key_flags(common)
flags.adopt_module_key_flags(program)

if __name__ == "__main__":
    program.run(main)
