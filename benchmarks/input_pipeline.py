"""How many training images per second the input pipeline delivers: shuffled, padded, cropped, mirrored, as floats.

    python -m benchmarks.input_pipeline --cores=2

Takes the median of several passes over the training set. Expect far more than 20,000 images per second on two cores, some
ten times what the narrow networks of docs/results.md train on.
"""

import collections
import os

from absl import flags

import tfrobust as tfr
from benchmarks import measure
from tfrobust.cli import data, program

DATASET = flags.DEFINE_string("dataset", "cifar10", "Whose training split is fed.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Examples in a batch.", lower_bound=1)
CORES = flags.DEFINE_integer("cores", 2, "How many of the machine's cores may be used.", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 7, "Passes over the data.", lower_bound=1)


def main():
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: CORES.value])
    split = data.from_flags().load(DATASET.value, "train")
    batches = tfr.data.training_batches(split, BATCH_SIZE.value, seed=0, augmentation=tfr.data.pad_crop_flip)
    medians = measure.interleaved_medians({"pass": lambda: collections.deque(batches, maxlen=0)}, ROUNDS.value)
    images = len(batches) * BATCH_SIZE.value
    cores = len(os.sched_getaffinity(0))
    print(f"{images / medians['pass']:,.0f} images per second on {cores} cores ({images:,} in {medians['pass']:.2f} s)")


flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
