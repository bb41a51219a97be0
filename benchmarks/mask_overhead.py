"""What fixed masks cost: time of a ResNet-18 masked at shallow=0.7 beside the unmasked one, and bytes in a TFLite file.

    python -m benchmarks.mask_overhead

Times a training step and an inference pass on one core, as ratios of medians. One and the same graph, compiled twice, can
differ by a quarter in speed on a CPU, so both sides are compiled several times. Expect 1.01 and 1.02 to 1.04 at full width
(--width=64 --batch_size=32, two minutes and a half); at width 16 a pass waits for memory and a mask costs it up to a tenth.
The files are those of the full-width and the narrow network, their batch norm folded: they grow by 0.28 and 0.37 bytes
for each unit of the masked layers.
"""

import statistics

import numpy as np
from absl import flags

import tfrobust as tfr
from benchmarks import measure
from tfrobust.cli import data, program

MASKS = flags.DEFINE_string("masks", "shallow=0.7", "Where the network is masked.")
WIDTH = flags.DEFINE_integer("width", 16, "Channels of the narrow network's first stage.", lower_bound=1)
DATASET = flags.DEFINE_string("dataset", "cifar10", "Where the batch comes from: the first training images.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Examples in the batch.", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 7, "Repetitions.", lower_bound=1)
COPIES = flags.DEFINE_integer("copies", 7, "How often each side is compiled.", lower_bound=1)


def main():
    measure.pin_to_one_core()
    import tensorflow as tf

    from export import tflite  # not above: it would bring its program's flags along, some of them required

    batch = data.from_flags().load(DATASET.value, "train").take(BATCH_SIZE.value)
    images, labels = tf.constant(batch.floats()), tf.constant(batch.labels)
    print(f"{'':16}{'masked ms':>11}{'plain ms':>10}{'ratio':>8}")
    for name, compiled in (("training step", compiled_step), ("inference", compiled_inference)):
        functions = {}
        for copy in range(COPIES.value):
            functions["masked", copy] = compiled(network(WIDTH.value, MASKS.value), images, labels)
            functions["plain", copy] = compiled(network(WIDTH.value), images, labels)
        medians = measure.interleaved_medians(functions, ROUNDS.value)
        masked, plain = (
            statistics.median(medians[side, copy] for copy in range(COPIES.value)) for side in ("masked", "plain")
        )
        print(f"{name:16}{masked * 1000:11.1f}{plain * 1000:10.1f}{masked / plain:8.3f}", flush=True)
    print(f"\n{'TFLite':16}{'masked bytes':>14}{'plain bytes':>13}{'units':>9}{'bytes a unit':>14}")
    for width in (64, WIDTH.value):
        model = network(width, MASKS.value)
        units = [np.prod(layer.kept.shape) for layer in model.layers if isinstance(layer, tfr.layers.FixedMask)]
        masked, plain = len(tflite.convert(model)), len(tflite.convert(network(width)))
        growth = (masked - plain) / sum(units)
        print(f"{f'width {width}':16}{masked:14,}{plain:13,}{sum(units):9,}{growth:14.4f}", flush=True)


def network(width, masks=""):
    """A ResNet-18 whose moving statistics are not the initial ones, so that folding them changes every weight."""
    model = tfr.models.resnet18(width=width, insert=tfr.models.masks.parse(masks))
    random = np.random.default_rng(0)
    for variable in model.non_trainable_variables:
        if variable.name == "moving_mean":
            variable.assign(random.normal(0.0, 0.1, variable.shape))
        elif variable.name == "moving_variance":
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


def compiled_step(model, images, labels):
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-12, momentum=0.9), loss)
    return lambda: model.train_on_batch(images, labels)


def compiled_inference(model, images, _):
    import tensorflow as tf

    run = tf.function(lambda images: model(images, training=False))
    return lambda: run(images).numpy()


flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
