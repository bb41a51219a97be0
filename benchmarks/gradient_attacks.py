"""What `fgsm` and `pgd` cost beside as many bare gradient evaluations of the same model, on one core.

    python -m benchmarks.gradient_attacks --model=runs/reference/model.keras --dataset=mnist

Prints for each attack the milliseconds, the ratio to its floor and the peak memory. One and the same graph, compiled
twice, can differ by a quarter in speed on a CPU, so both sides are compiled several times and all copies measured.
"""

import statistics
import time

from absl import flags

import tfrobust as tfr
from benchmarks import measure
from tfrobust.cli import data, program

MODEL = flags.DEFINE_string("model", None, "A trained .keras file.", required=True)
DATASET = flags.DEFINE_string("dataset", "digits", "Where the batch comes from: the first test images.")
ATTACK = flags.DEFINE_multi_string(
    "attack",
    ["fgsm(linf(0.1))", "pgd(linf(0.1), steps=10)", "pgd(linf(0.1), steps=40)", "pgd(l2(1.5), steps=40)"],
    "What to measure.",
)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Examples in the batch.", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 7, "Repetitions.", lower_bound=1)
COPIES = flags.DEFINE_integer("copies", 7, "How often each side is compiled.", lower_bound=1)


def main():
    measure.pin_to_one_core()
    import tensorflow as tf

    test = data.from_flags().load(DATASET.value, "test").take(BATCH_SIZE.value)
    images = tf.constant(test.floats())
    model = tfr.targets.load_model(MODEL.value)
    labels = tf.argmax(model(images, training=False), axis=1)  # its own, so that every image is attacked
    print(f"{'attack':34}{'ms':>9}{'floor ms':>10}{'ratio':>8}")
    for text in ["a gradient", *ATTACK.value]:
        attack = None if text == "a gradient" else tfr.attacks.parse(text)
        functions = {}
        for copy in range(COPIES.value):
            functions["attack", copy] = compiled_attack(attack, model, images, labels)
            functions["floor", copy] = compiled_gradients(attack.steps if attack else 1, model, images, labels)
        medians = measure.interleaved_medians(functions, ROUNDS.value, time.process_time)
        seconds, floor = (
            statistics.median(medians[side, copy] for copy in range(COPIES.value)) for side in ("attack", "floor")
        )
        print(f"{text:34}{seconds * 1000:9.1f}{floor * 1000:10.1f}{seconds / floor:8.3f}", flush=True)
    print(f"peak memory {measure.peak_memory():.0f} MiB")


def compiled_attack(attack, model, images, labels):
    """An attack; without one, the gradient as attacks ask for it."""
    import tensorflow as tf

    def logits_fn(x):
        return model(x, training=False)

    @tf.function
    def run(images, labels):
        if attack:
            return attack(logits_fn, images, labels, seed=0)
        problem = tfr.attacks.Problem(logits_fn, images, labels, guarded=True)
        return problem.value_and_gradient(tfr.objectives.cross_entropy, images)[1]

    return lambda: run(images, labels).numpy()


def compiled_gradients(steps, model, images, labels):
    """`steps` bare gradient evaluations, each of an input that depends on the one before."""
    import tensorflow as tf

    @tf.function
    def run(images, labels):
        for _ in tf.range(steps):
            with tf.GradientTape() as tape:
                tape.watch(images)
                logits = model(images, training=False)
                loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            images += 0.0 * tape.gradient(loss, images)
        return images

    return lambda: run(images, labels).numpy()


flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
