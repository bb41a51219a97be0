"""The paper's CIFAR-10 recipe at full width, on a machine that has a GPU and JAX but no TensorFlow.

    python -m benchmarks.full_width --mode=pack --data=runs/packed
    KERAS_BACKEND=jax python -m benchmarks.full_width --data=runs/packed --model=resnet18 --masks=shallow=0.7 \\
        --precision=mixed_bfloat16 --epochs=60 --minutes=9 --workdir=/tmp/masked --output=$OUT
    python -m benchmarks.full_width --mode=assemble --output=FOLDER

`pack`, here, writes the training images in five lossless pieces of 16 MB (differences between neighbors, deflated), since
what is carried to such a machine is limited; they can be carried in turns. The second command, there, trains; it stops in
time and the same command goes on from the workdir. After the last epoch it writes `architecture.json` and the weights in
pieces below 16 MiB. `assemble`, here again, makes `model.keras` of them.

SGD, momentum 0.9, weight decay 5e-4, batch 128, rate 0.1 divided by 10 after 3/7 and 5/7 of the epochs (150 and 250 of
350), per-pixel mean, zero-pad 4, crop and mirror: Luo et al., ICLR 2019 submission, section 4. To train several
side by side on one GPU, set XLA_PYTHON_CLIENT_PREALLOCATE=false. Not yet run on a GPU; docs/results.md will have the numbers.
"""

import dataclasses
import itertools
import pathlib
import time

import numpy as np
from absl import flags

import tfrobust as tfr
from benchmarks import pieces
from tfrobust import files
from tfrobust.cli import data, program
from tfrobust.errors import InputError
from trainers import optimization, optimization_flags

MODE = flags.DEFINE_enum("mode", "train", ["pack", "train", "assemble"], "See above.")
DATA = flags.DEFINE_string("data", None, "Folder of the packed images, which `pack` writes and `train` reads.")
DATASET = flags.DEFINE_string("dataset", "cifar10", "Whose training images are packed.")
OUTPUT = flags.DEFINE_string(
    "output", None, "Folder of the weights' pieces, which `train` writes and `assemble` reads."
)
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the checkpoints.")
MODEL = flags.DEFINE_string("model", "resnet18", "A network of tfrobust.models.")
WIDTH = flags.DEFINE_integer("width", 64, "Channels of the network's first stage.", lower_bound=1)
MASKS = flags.DEFINE_string("masks", "", "Where the network is masked.")
SEED = flags.DEFINE_integer("seed", 0, "Of weights, order and augmentation.", lower_bound=0)
EPOCHS = flags.DEFINE_integer("epochs", 350, "Passes over the data; the schedule keeps its proportions.", lower_bound=1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Examples per step.", lower_bound=1)
MINUTES = flags.DEFINE_float("minutes", 9.0, "Stop after the last epoch that ends within so many minutes.")


def main():
    return {"pack": pack, "train": train, "assemble": assemble}[MODE.value]()


def pack():
    folder = files.writable_folder(needed(DATA))
    split = data.from_flags().load(DATASET.value, "train")
    for piece, start in enumerate(range(0, len(split.labels), 10_000)):
        part = split.drop(start).take(10_000)
        path = folder / f"{piece}.npz"
        np.savez_compressed(path, images=pieces.differences(part.images), labels=part.labels.astype("uint8"))
        print(f"{path}: {len(part.labels):,} images, {path.stat().st_size:,} bytes")


def unpack(folder):
    """The images, uint8, and labels that `pack` wrote."""
    packed = [pieces.arrays(path) for path in pieces.numbered(folder)]
    return tuple(
        np.concatenate(parts) for parts in zip(*((pieces.sums(piece["images"]), piece["labels"]) for piece in packed))
    )


def train():
    import keras

    from trainers import checkpoints

    started = time.monotonic()
    output = files.writable_folder(needed(OUTPUT))
    folder = files.writable_folder(needed(WORKDIR)) / "checkpoints"
    images, labels = unpack(needed(DATA))
    keras.utils.set_random_seed(SEED.value)
    network = tfr.models.build(
        MODEL.value,
        input_shape=images.shape[1:],
        classes=int(labels.max()) + 1,
        width=WIDTH.value,
        insert=tfr.models.masks.parse(MASKS.value),
        mean=images.mean(axis=0, dtype="float64") / 255,
    )
    config = dataclasses.replace(optimization_flags.from_flags(), learning_rate_drops=tuple(drops(EPOCHS.value)))
    trained = optimization.in_precision(network, config.precision)
    pixels = keras.Input(images.shape[1:], dtype="uint8")
    model = keras.Sequential([pixels, keras.layers.Rescaling(1 / 255), trained])
    steps = len(labels) // BATCH_SIZE.value
    optimizer = optimization.make_optimizer(config, steps, EPOCHS.value)
    model.compile(optimizer, optimization.make_loss(config), metrics=["accuracy"])
    history = checkpoints.restore(folder, model)
    saved = checkpoints.Checkpoints(folder, history)
    if len(history) < EPOCHS.value:
        model.fit(
            batches(images, labels, len(history)),
            steps_per_epoch=steps,
            initial_epoch=len(history),
            epochs=EPOCHS.value,
            callbacks=[saved, stop_in_time(started)],
            shuffle=False,
            verbose=2,
        )
    if len(saved.history) < EPOCHS.value:
        print(f"{len(saved.history)} of {EPOCHS.value} epochs are done: the same command goes on")
        return
    network.set_weights(trained.get_weights())
    pieces.write_network(network, output)


def drops(epochs):
    """After which epochs the rate falls: 150 and 250 of 350."""
    return sorted({round(epochs * share / 7) for share in (3, 5)} - {0})


def batches(images, labels, first_epoch):
    """Shuffled, zero-padded, cropped and mirrored batches, without end; an epoch follows from its number and the seed."""
    padded = np.pad(images, [(0, 0), (4, 4), (4, 4), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, images.shape[1:3], axis=(1, 2))
    for epoch in itertools.count(first_epoch):
        random = np.random.default_rng([SEED.value, epoch])
        order = random.permutation(len(labels))
        for start in range(0, len(labels) - BATCH_SIZE.value + 1, BATCH_SIZE.value):
            chosen = order[start : start + BATCH_SIZE.value]
            top, left = random.integers(9, size=(2, len(chosen)))
            crops = np.moveaxis(windows[chosen, top, left], 1, 3)
            mirrored = random.random((len(chosen), 1, 1, 1)) < 0.5
            yield np.where(mirrored, crops[:, :, ::-1], crops), labels[chosen]


def stop_in_time(started):
    """A callback that stops when another epoch, as long as the last one, would end after --minutes."""
    import keras

    class StopInTime(keras.callbacks.Callback):
        last = time.monotonic()

        def on_epoch_end(self, epoch, logs=None):
            now = time.monotonic()
            self.model.stop_training = 2 * now - self.last > started + 60 * MINUTES.value
            self.last = now

    return StopInTime()


def assemble():
    folder = pathlib.Path(needed(OUTPUT))
    with files.written(folder / "model.keras") as path:
        pieces.read_network(folder).save(path)
    print(f"model: {folder / 'model.keras'}")


def needed(flag):
    if not flag.value:
        raise InputError(f"--mode={MODE.value} needs --{flag.name}")
    return flag.value


flags.set_default(optimization_flags.LEARNING_RATE, 0.1)
flags.set_default(optimization_flags.LEARNING_RATE_FACTOR, 0.1)
flags.adopt_module_key_flags(optimization_flags)
flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
