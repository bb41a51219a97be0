"""What each attack holds in memory at 224x224x3 and 1,000 classes, beside the network itself.

    python -m benchmarks.memory

Prints a table in Markdown. Each attack runs once with a small and once with a large batch, in fresh processes: their peak
resident memory, and by how many batches of images, as float32, it grows from one to the other. What does not grow, such as
TensorFlow and compiled graphs, is left out of that. The network is cheap, one convolution of stride 16 and a layer of logits,
so that what shows is the attack's own; the first row is one gradient of the network. An attack whose memory has a part that
depends on something else, such as a population, has it in its docstring.
"""

import subprocess
import sys

from absl import flags

from tfrobust.cli import program

ATTACK = flags.DEFINE_multi_string(
    "attack",
    [
        "fgsm(linf(1/255))",
        "pgd(linf(1/255), steps=3)",
        "mi_fgsm(linf(1/255), steps=3)",
        "adam_pgd(linf(1/255), steps=3)",
        "apgd(linf(1/255), steps=5)",
        "apgd_targeted(linf(1/255), steps=3)",
        "deepfool(steps=3)",
        "deepfool(steps=1, candidates=1000)",
        "fab(l2, steps=2, targets=9)",
        "fab(linf, steps=1)",
        "carlini_wagner(searches=2, steps=5)",
        "ddn(steps=5)",
        "fmn(l1, steps=5)",
        "fmn(l0, steps=5)",
        "pdpgd(steps=5)",
        "pdpgd(l1, steps=5)",
        "pdpgd(l0, steps=5)",
        "ead(searches=1, steps=5)",
        "sigma_zero(steps=5)",
        "apgd(l1(8), steps=5)",
        "fab(l1(8), steps=5, targets=1)",
        "square(l1(8), queries=5)",
        "sparse_rs(l0(10), queries=5)",
        "sparse_rs(l0(100), shape=patch, queries=5)",
        "jsma(gamma=0.00002)",
        "square(linf(1/255), queries=20)",
        "square(l2(1), queries=20)",
        "spsa(linf(1/255), steps=2, samples=32)",
        "one_pixel(l0(1), population=50, steps=2)",
        "boundary(steps=20, tries=2)",
        "hop_skip_jump(steps=2, samples=20, tries=2)",
        "restarts(pgd(linf(1/255), steps=2), 2)",
        "cascade(linf(1/255), (apgd(linf(1/255), steps=2), square(linf(1/255), queries=5)))",
    ],
    "What to measure.",
)
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["8", "32"], "Images in the small and in the large batch.")
MEASURED = flags.DEFINE_string("measured", None, "For the child processes: the attack to run, or gradient.")
SIZE, CLASSES = 224, 1000


def main():
    sizes = [int(size) for size in BATCH_SIZES.value]
    if MEASURED.value:
        print(peak(MEASURED.value, sizes[0]))
        return
    grown = (sizes[1] - sizes[0]) * SIZE * SIZE * 3 * 4 / 2**20
    print(
        f"| attack | peak of {sizes[0]}, MiB | peak of {sizes[1]}, MiB | batches of images |\n|---|---|---|---|",
        flush=True,
    )
    for text in ("gradient", *ATTACK.value):
        small, large = (in_a_child(text, size) for size in sizes)
        name = "one gradient" if text == "gradient" else f"`{text}`"
        print(f"| {name} | {small:.0f} | {large:.0f} | {(large - small) / grown:.1f} |", flush=True)


def in_a_child(measured, count):
    """The peak of a process of its own, in MiB."""
    command = [sys.executable, "-m", "benchmarks.memory", f"--measured={measured}", f"--batch_sizes={count}"]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def peak(measured, count):
    """Compiles and runs an attack, or one gradient, on random images that the network classifies correctly."""
    import tensorflow as tf

    from benchmarks import measure
    from tfrobust import attacks, objectives

    images, logits_fn = tf.random.stateless_uniform([count, SIZE, SIZE, 3], [0, 0]), cheap_network()
    labels = tf.argmax(logits_fn(images), axis=1)

    def gradient():
        return attacks.Problem(logits_fn, images, labels).value_and_gradient(objectives.cross_entropy, images)

    def attack():
        return attacks.parse(measured)(logits_fn, images, labels, seed=0)

    tf.function(gradient if measured == "gradient" else attack, autograph=False)()
    return measure.peak_memory()


def cheap_network():
    """Logits of 8 channels of 14 x 14 averages, each through a hyperbolic tangent: no two classes are alike."""
    import tensorflow as tf

    kernel = tf.random.stateless_normal([16, 16, 3, 8], [1, 0], stddev=0.1)
    last = tf.random.stateless_normal([8, CLASSES], [2, 0], stddev=10.0)

    def logits_fn(images):
        features = tf.tanh(tf.nn.conv2d(images - 0.5, kernel, 16, "VALID"))
        return tf.reduce_mean(features, axis=[1, 2]) @ last

    return logits_fn


if __name__ == "__main__":
    program.run(main)
