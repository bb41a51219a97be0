"""Trains an adversarial patch: one picture that fools a network wherever it lies on whatever image (Brown et al., 2017).

    python -m trainers.patch --model=runs/lenet/model.keras --dataset=mnist --side=10 --goal=3 --output=runs/patch
    python -m trainers.evaluate --model=runs/other/model.keras --dataset=mnist \\
        --attack="targeted(adversarial_patch('runs/patch/patch.npy'), 3)"

Writes patch.npy, which attacks read, and patch.png to print, and the report of what it does to test images, each of which
gets it at a random place.
"""

import pathlib

from absl import flags

import tfrobust as tfr
from tfrobust import files
from tfrobust.cli import data, lists, program, quiet

MODEL = flags.DEFINE_string("model", None, "The network, a .keras file or a SavedModel with gradients.", required=True)
DATASET = flags.DEFINE_string("dataset", "mnist", "digits, a TFDS name, an .npz file, or a folder of class folders.")
EXAMPLES = flags.DEFINE_integer("examples", 2000, "Training images to use.", lower_bound=1)
TEST_EXAMPLES = flags.DEFINE_integer("test_examples", 500, "Test images to show it to.", lower_bound=1)
SIDE = flags.DEFINE_integer("side", None, "The diameter in pixels; default: two fifths of the image.", lower_bound=1)
GOAL = flags.DEFINE_integer("goal", None, "The class to be seen; default: any wrong one.", lower_bound=0)
ROTATION = flags.DEFINE_float("rotation", 22.5, "Degrees, to either side.", lower_bound=0.0)
SCALES = flags.DEFINE_list("scales", "0.8,1.2", "The least and the largest scale in training.")
STEPS = flags.DEFINE_integer("steps", 500, "Updates.", lower_bound=1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images of an update.", lower_bound=1)
LEARNING_RATE = flags.DEFINE_float("learning_rate", 0.05, "Of Adam.", lower_bound=0.0)
SEED = flags.DEFINE_integer("seed", 0, "Of all draws.", lower_bound=0)
OUTPUT = flags.DEFINE_string("output", None, "Folder for patch.npy, patch.png and the report.", required=True)


def main():
    output, scales, source = pathlib.Path(OUTPUT.value), lists.numbers("scales", SCALES.value, 2), data.from_flags()
    files.check_writable(output)
    quiet.start_tensorflow()
    import numpy as np
    import tensorflow as tf

    target = tfr.targets.load(MODEL.value)
    if not target.in_graph:
        raise tfr.InputError(
            f"a patch is trained with gradients, and {target.name} cannot be differentiated: train it on another "
            "model of the same task; --attack then takes it for any"
        )
    channels = target.input_shape[-1]
    train = source.load(DATASET.value, "train", EXAMPLES.value, channels=channels)
    test = source.load(DATASET.value, "test", TEST_EXAMPLES.value, channels=channels)
    patch = tfr.attacks.train_patch(
        target.logits_fn,
        train.floats(),
        train.labels,
        SIDE.value or round(0.4 * min(train.images.shape[1:3])),
        goal=GOAL.value,
        rotation=ROTATION.value,
        scales=scales,
        steps=STEPS.value,
        batch_size=BATCH_SIZE.value,
        learning_rate=LEARNING_RATE.value,
        seed=SEED.value,
    )
    saved = output / "patch.npy"
    with files.written(saved) as path, path.open("wb") as file:
        np.save(file, patch)
    if patch.shape[2] in (2, 4):  # gray or red, green and blue, and alpha
        with files.written(output / "patch.png") as path:
            path.write_bytes(tf.io.encode_png(np.round(patch * 255.0).astype("uint8")).numpy())
    attack = f"adversarial_patch({str(saved)!r}, rotation={ROTATION.value})"
    attack = attack if GOAL.value is None else f"targeted({attack}, {GOAL.value})"
    found = tfr.evaluate(target, test.floats(), test.labels, [attack])
    print(found.table())
    found.save(output)
    print(f"patch: {saved}")


flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
