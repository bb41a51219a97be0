"""Trains the MNIST networks of Deep Defense, plainly or with Deep Defense.

    python -m trainers.mnist --flagfile=trainers/configs/mnist_lenet.flags --workdir=runs/lenet
    python -m trainers.mnist --flagfile=trainers/configs/mnist_lenet_deep_defense.flags \\
        --init_weights=runs/lenet/model.keras --workdir=runs/lenet_deep_defense

On two cores the first takes about 3 minutes, the second about 15. docs/results.md has the numbers to expect.
"""

from absl import flags

import tfrobust as tfr
from tfrobust.cli import data, devices, program
from trainers import splits, training, training_flags

DATASET = flags.DEFINE_string("dataset", "mnist", "digits, mnist, or another data set of small gray images.")
MODEL = flags.DEFINE_enum("model", "lenet", ["lenet", "mlp"], "The network; ignored with a .keras --init_weights.")


def main():
    config = training_flags.from_flags(DATASET.value, model=MODEL.value)
    source = data.from_flags()
    training.run(config, devices.from_flags(), lambda: splits.load_feeds(config, source), perturbation_metrics)


def perturbation_metrics(network, test):
    """The robustness that Deep Defense reports: rho_2 and l2 under DeepFool, rho_inf under FGSM, on all test images."""

    def logits_fn(images):
        return network(images, training=False)

    images, labels, origin = test.split.floats(), test.split.labels, tfr.layers.origin(network)
    rho_2, l2 = tfr.evaluation.metrics.deepfool_rho_2(logits_fn, images, labels, origin=origin)
    rho_inf, radius = tfr.evaluation.metrics.fgsm_rho_inf(logits_fn, images, labels, origin=origin)
    return {"rho_2": float(rho_2.mean()), "l2": float(l2.mean()), "rho_inf": rho_inf, "fgsm_radius_at_half": radius}


flags.adopt_module_key_flags(training_flags)

if __name__ == "__main__":
    program.run(main)
