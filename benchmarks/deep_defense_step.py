"""What a Deep Defense training step costs, in plain training steps of the same network and batch, on one core.

    python -m benchmarks.deep_defense_step --model=runs/reference/model.keras --dataset=mnist

Deep Defense's authors' code needs 83 plain steps for LeNet and 100 images. Prints milliseconds, the ratio and the
peak memory.
"""

from absl import flags

import tfrobust as tfr
from benchmarks import measure
from tfrobust.cli import data, program

MODEL = flags.DEFINE_string("model", None, "A trained .keras file.", required=True)
DATASET = flags.DEFINE_string("dataset", "digits", "Where the batch comes from: the first test images.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Examples in the batch.", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 30, "Repetitions.", lower_bound=1)


def main():
    measure.pin_to_one_core()
    import keras
    import tensorflow as tf

    test = data.from_flags().load(DATASET.value, "test").take(BATCH_SIZE.value)
    images, labels = tf.constant(test.floats()), tf.constant(test.labels)

    def compiled(model):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(1e-12, momentum=0.9), loss, metrics=["accuracy"])
        return model

    plain = compiled(tfr.targets.load_model(MODEL.value))
    plain.train_on_batch(images, labels)
    plain_memory = measure.peak_memory()
    deep_defense = compiled(tfr.defenses.DeepDefense(tfr.targets.load_model(MODEL.value)))
    functions = {
        "plain": lambda: plain.train_on_batch(images, labels),
        "deep_defense": lambda: deep_defense.train_on_batch(images, labels),
    }
    medians = measure.interleaved_medians(functions, ROUNDS.value)
    for name, seconds in medians.items():
        print(f"{name:14}{seconds * 1000:8.1f} ms")
    print(f"ratio         {medians['deep_defense'] / medians['plain']:8.1f} plain steps")
    print(f"peak memory   {plain_memory:8.0f} MiB plain, {measure.peak_memory():.0f} MiB with Deep Defense")


flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
