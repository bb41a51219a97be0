"""Shows what a network looks like to an attacker: gradient overlap, heat-maps, label maps, single white pixels.

    python -m trainers.analyze --model=runs/ace/model.keras --dataset=cifar10 --examples=64 \\
        --what=overlap,heatmap,label_map,white_pixel --output=runs/ace/analysis

Writes an .npz of the arrays and a PNG file for each of --what:
  overlap       gradient overlap and the pixels G(--fraction); needs no data
  heatmap       where gradients are (gradients.png) and what --attack changes (perturbations.png), by layer
  label_map     the labels of the first images that are classified correctly, along their gradient on the checkerboard
                and off it
  white_pixel   the share of images that each pixel breaks when it is white

A narrow CIFAR network and 64 images take about a minute on two cores.
"""

import dataclasses
import pathlib
from typing import TYPE_CHECKING

from absl import flags

import tfrobust as tfr
from tfrobust import files
from tfrobust.cli import data, program, quiet

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras

WHAT = ("overlap", "heatmap", "label_map", "white_pixel")

MODEL = flags.DEFINE_string("model", None, "The network, a .keras file.", required=True)
ANALYSES = flags.DEFINE_list("what", ["overlap"], f"Which of {', '.join(WHAT)}.")
OUTPUT = flags.DEFINE_string("output", None, "Folder for the .npz and PNG files.", required=True)
DATASET = flags.DEFINE_string("dataset", "cifar10", "digits, a TFDS name, an .npz file, or a folder of class folders.")
EXAMPLES = flags.DEFINE_integer("examples", 64, "Number of test images to use.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the attack's random draws.", lower_bound=0)
ATTACK = flags.DEFINE_string("attack", "pgd(l2(1.0), steps=40)", "What makes the perturbations of the heat-maps.")
LAYERS = flags.DEFINE_list("layers", None, "Layers of which heat-maps are made; default: all convolutions.")
PATH_WEIGHT = flags.DEFINE_float("path_weight", 1 / 108, "Weight of a path through an ACE module.", lower_bound=0.0)
FRACTION = flags.DEFINE_float("fraction", 0.3, "p of G(p), the pixels with the largest overlap.")
MAPS = flags.DEFINE_integer("label_maps", 3, "Number of images whose label maps are made.", lower_bound=1)
EXTENT = flags.DEFINE_float("extent", 100.0, "Longest step of label maps, l2 on the 0-255 scale.")
POINTS = flags.DEFINE_integer("points", 41, "Steps of label maps in each direction, an odd number.", lower_bound=1)


@dataclasses.dataclass(frozen=True)
class AnalysisConfig:
    """What is analyzed and how; the attributes are the flags of their names, `extent` is on the [0, 1] scale."""

    output: pathlib.Path
    what: tuple[str, ...] = ("overlap",)
    seed: int = 0
    attack: str = "pgd(l2(1.0), steps=40)"
    layers: tuple[str, ...] | None = None
    path_weight: float = 1 / 108
    fraction: float = 0.3
    label_maps: int = 3
    extent: float = 100 / 255
    points: int = 41

    def __post_init__(self):
        for name in self.what:
            if name not in WHAT:
                raise tfr.InputError(f"--what takes {', '.join(WHAT)}; got {name!r}")


def main():
    config = _from_flags()
    source, path, dataset, examples = data.from_flags(), MODEL.value, DATASET.value, EXAMPLES.value
    files.check_writable(config.output)
    quiet.start_tensorflow()
    network = tfr.targets.load_model(path)
    test = None
    if set(config.what) - {"overlap"}:
        tfr.attacks.parse(config.attack)
        test = source.load(dataset, "test", examples, channels=network.input_shape[-1])
        tfr.targets.KerasTarget(network, path).check(test.images)
    for name in dict.fromkeys(config.what):
        {"overlap": overlap, "heatmap": heatmap, "label_map": label_map, "white_pixel": white_pixel}[name](
            config, network, test
        )


def overlap(config: AnalysisConfig, network: "keras.Model", test: "tfr.data.Split | None") -> None:
    """Writes the gradient overlap and G(p)."""
    found = tfr.analysis.gradient_overlap(network, config.path_weight)
    top = tfr.analysis.top_pixels(found, config.fraction)
    share = tfr.analysis.checkerboard_share(found, config.fraction)
    _write(config, "overlap", {"overlap": found, "top_pixels": top, "checkerboard_share": share})
    _draw(config, "overlap", tfr.analysis.pictures.overlap(found, config.fraction))
    print(f"share of the checkerboard in G({config.fraction:g}): {share:.1%}")


def heatmap(config: AnalysisConfig, network: "keras.Model", test: "tfr.data.Split") -> None:
    """Writes the heat-maps of gradients, and of what an attack changes, by layer."""
    images = test.floats()
    gradients = tfr.analysis.gradient_heatmaps(network, images, test.labels, config.layers)
    made = _attacked(config, network, images, test.labels)
    perturbations = tfr.analysis.perturbation_heatmaps(network, images, made, config.layers)
    for name, maps in (("gradients", gradients), ("perturbations", perturbations)):
        _write(config, name, maps)
    _draw(config, "gradients", tfr.analysis.pictures.gradients(gradients))
    _draw(config, "perturbations", tfr.analysis.pictures.perturbations(perturbations))


def label_map(config: AnalysisConfig, network: "keras.Model", test: "tfr.data.Split") -> None:
    """Writes the label maps of the first images that are classified correctly."""
    images = test.floats()
    predictions = network.predict(images, verbose=0).argmax(axis=1)
    chosen = (predictions == test.labels).nonzero()[0][: config.label_maps]
    if not len(chosen):
        raise tfr.InputError("no image is classified correctly: give more --examples, or the network's own --dataset")
    for number in chosen:
        label = int(test.labels[number])
        found = tfr.analysis.label_map(network, images[number], label, config.extent, config.points)
        _write(config, f"label_map_{number}", {**found._asdict(), "label": label})
        _draw(config, f"label_map_{number}", tfr.analysis.pictures.label_map(found, label))


def white_pixel(config: AnalysisConfig, network: "keras.Model", test: "tfr.data.Split") -> None:
    """Writes the success of single white pixels."""
    found = tfr.analysis.white_pixel_success(network, test.floats(), test.labels)
    _write(config, "white_pixel", {"success": found})
    _draw(config, "white_pixel", tfr.analysis.pictures.white_pixel(found))


def _attacked(config, network, images, labels):
    """The adversarial images of the configuration's attack, float32 [examples, height, width, channels]."""
    import numpy as np
    import tensorflow as tf

    attack, target = tfr.attacks.parse(config.attack), tfr.targets.KerasTarget(network)
    run = tf.function(lambda *batch: attack(target.logits, *batch[:2], seed=batch[2]), reduce_retracing=True)
    examples = images, labels, tfr.seeds.per_example(config.seed, np.arange(len(images)))
    batches = tf.data.Dataset.from_tensor_slices(examples).batch(100)
    return np.concatenate([run(*batch) for batch in batches])


def _write(config, name, arrays):
    import numpy as np

    with files.written(config.output / f"{name}.npz") as path:
        np.savez_compressed(path, **arrays)


def _draw(config, name, picture):
    with files.written(config.output / f"{name}.png") as path:
        path.write_bytes(picture)
    print(f"{name}: {config.output / name}.png")


def _from_flags():
    return AnalysisConfig(
        pathlib.Path(OUTPUT.value),
        tuple(ANALYSES.value),
        SEED.value,
        ATTACK.value,
        tuple(LAYERS.value) if LAYERS.value else None,
        PATH_WEIGHT.value,
        FRACTION.value,
        label_maps=MAPS.value,
        extent=EXTENT.value / 255,
        points=POINTS.value,
    )


flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
