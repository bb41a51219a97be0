"""Models made to deceive an evaluation, and honest ones, against the warnings that an evaluation with one attack gives.

    python -m benchmarks.deceivers --model=runs/reference/model.keras --dataset=mnist --examples=1000 \\
        --honest=runs/deep_defense/model.keras

Prints a table in Markdown: the robust accuracy that is reported, the codes, and the seconds of attack and checks. Behind
and before the network of `--model` stand the deceivers of tests/support; two are trained, on the first 5,000 training
images. Networks of `--honest` are evaluated as they are. Exit code 1 where a deceiver has no warning, or an honest model
has one.
"""

import time

from absl import flags

import tfrobust as tfr
from tfrobust.cli import data, program

MODEL = flags.DEFINE_string("model", None, "A trained .keras file.", required=True)
HONEST = flags.DEFINE_multi_string("honest", [], "Further .keras files, which nothing must be wrong with.")
DATASET = flags.DEFINE_string("dataset", "mnist", "Where the images come from: the first test images.")
EXAMPLES = flags.DEFINE_integer("examples", 1000, "How many of them.", lower_bound=1)
ATTACK = flags.DEFINE_string("attack", "pgd(linf(0.15), steps=20)", "The only attack.")
TRAINED_ON = 5000
MINOR = {"N", "GRID"}  # these say nothing about the model


def main():
    from tests.support import deceivers

    load = data.from_flags().load
    test = load(DATASET.value, "test").take(EXAMPLES.value)
    network = tfr.targets.load_model(MODEL.value)

    def wrapped(wrapper):
        return deceivers.Wrapped(wrapper(lambda images: network(images, training=False)), network.input_shape[1:])

    print("| | model | robust | warnings | attack, s | checks, s |")
    print("|---|---|---|---|---|---|", flush=True)
    wrong = 0
    for name, wrapper in deceivers.HONEST.items():
        wrong += bool(line("honest", name, wrapped(wrapper), test))
    for path in HONEST.value:
        wrong += bool(line("honest", path, path, test))
    for name, wrapper in deceivers.DECEIVERS.items():
        wrong += not line("deceiver", name, wrapped(wrapper), test)
    for name, logits_fn in trained(deceivers, load(DATASET.value, "train").take(TRAINED_ON)):
        wrong += not line("deceiver", name, deceivers.Wrapped(logits_fn, network.input_shape[1:]), test)
    return int(wrong > 0)


def trained(deceivers, train):
    """The deceivers that are networks of their own: names and logits functions."""
    import keras

    images, labels = train.floats(), train.labels
    winners = deceivers.trained(deceivers.convolutional(deceivers.Winners), images, labels, epochs=4)
    yield "k-winners-take-all", winners
    student = deceivers.convolutional(keras.layers.ReLU)
    yield "distillation at temperature 100", deceivers.trained(student, images, labels, epochs=4, temperature=100.0)


def line(kind, name, model, test):
    """Evaluates a model, prints its line and returns the codes that say something about it."""
    started = time.monotonic()
    found = tfr.evaluate(model, test.floats(), test.labels, [ATTACK.value], progress=False).report
    seconds, attack = time.monotonic() - started, found["attacks"][0]
    codes = sorted({warning["code"] for warning in found["warnings"]} - MINOR)
    print(
        f"| {kind} | {name} | {attack['robust_accuracy']:.1%} | {', '.join(codes)} | {attack['seconds']:.0f} | "
        f"{seconds - attack['seconds']:.0f} |",
        flush=True,
    )
    return codes


flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
