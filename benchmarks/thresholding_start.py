"""Where adversarial training at 0.3 on MNIST takes hours to get to: a network whose first convolution thresholds pixels.

    python -m benchmarks.thresholding_start --model=madry_cnn --output=runs/start.keras
    python -m trainers.cifar --dataset=mnist --noaugment --init_weights=runs/start.keras ...

Of the first 32 filters of their trained network Madry et al. found three at work, each of which thresholds single pixels (ICLR
2018, appendix C). Here all are of that kind. With t(x) = relu(x / (b - a) - a / (b - a)) - relu(x / (b - a) - b / (b - a)) a
pixel is 0 up to a, 1 from b on, and rises between; the two parts are two filters, of which the second convolution takes the
difference. There are these of x and of 1 - x (pooling takes the largest), between 0.3 and 0.7 and between 0.4 and 0.6, of the
pixel itself and of its neighbors below and to the right: 32. All else is random, as the builder has it.
"""

import itertools

import keras
import numpy as np
from absl import flags

from tfrobust import files, models
from tfrobust.cli import program

MODEL = flags.DEFINE_enum("model", "madry_cnn", ["madry_cnn", "small_cnn"], "Which network.")
SEED = flags.DEFINE_integer("seed", 0, "Of what is random.")
OUTPUT = flags.DEFINE_string("output", None, "The .keras file that is written.", required=True)

RAMPS = (0.3, 0.7), (0.4, 0.6)


def main():
    keras.utils.set_random_seed(SEED.value)
    network = models.build(MODEL.value)
    let_threshold(network)
    with files.written(OUTPUT.value) as path:
        network.save(path)
    print(f"model: {OUTPUT.value}")


def let_threshold(network: keras.Model):
    """Gives the first two convolutions of a network of gray images the weights above."""
    first, second = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)][:2]
    kernel, bias = map(np.zeros_like, first.get_weights())
    next_kernel, next_bias = second.get_weights()
    middle = kernel.shape[0] // 2
    kinds = itertools.product((0, 1), (0, 1), RAMPS, (1, -1))
    for channel, (down, right, (low, high), sign) in enumerate(kinds):
        begins, ends = 2 * channel, 2 * channel + 1
        slope = sign / (high - low)
        kernel[middle + down, middle + right, 0, [begins, ends]] = slope
        bias[[begins, ends]] = -slope * np.array([low, high][::sign])
        next_kernel[:, :, ends] = -next_kernel[:, :, begins]
    first.set_weights([kernel, bias])
    second.set_weights([next_kernel, next_bias])


if __name__ == "__main__":
    program.run(main)
