"""The standard AutoAttack beside the original, part by part: same weights, same images, one core, one run.

    git clone https://github.com/fra31/auto-attack ../auto-attack
    python -m benchmarks.original_autoattack --original=../auto-attack --model=lenet.keras --dataset=mnist --ball='linf(0.1)'

The original attacks the same LeNet in PyTorch, with PyTorch's own convolutions (--onednn: with those of oneDNN). Every part
attacks all images; the last line is the cascade, in which a part attacks what those before it left. Seconds are processor time; ours
compiled before. "x floor" is ours beside as many bare gradients and forward passes of the whole batch. PyTorch is not among
tfrobust's packages.
"""

import pathlib
import sys
import time

from absl import flags

from benchmarks import measure
from tfrobust.cli import data, program
from tfrobust.errors import InputError

ORIGINAL = flags.DEFINE_string("original", None, "A checkout of github.com/fra31/auto-attack.", required=True)
MODEL = flags.DEFINE_string("model", None, "A LeNet of tfrobust, a .keras file.", required=True)
DATASET = flags.DEFINE_string("dataset", "digits", "Where the images come from: the first test images.")
BALL = flags.DEFINE_string("ball", "linf(0.1)", "linf(radius), l2(radius) or l1(radius).")
EXAMPLES = flags.DEFINE_integer("examples", 100, "Images in the batch.", lower_bound=2)
ONEDNN = flags.DEFINE_boolean("onednn", False, "Let PyTorch use oneDNN.")

PARTS = ("apgd-ce", "apgd-t", "fab-t", "square")  # in the order of the cascade


def main():
    if not pathlib.Path(ORIGINAL.value, "autoattack").is_dir():
        raise InputError(f"--original={ORIGINAL.value} has no folder autoattack")
    sys.path.insert(0, ORIGINAL.value)
    try:
        import torch
    except ImportError as error:
        raise InputError("the original needs PyTorch: python -m pip install torch") from error
    measure.pin_to_one_core()
    torch.set_num_threads(1)

    import numpy as np
    import tensorflow as tf

    import tfrobust as tfr
    from benchmarks.peers import sides
    from tfrobust.evaluation.craft import counting_gradients

    test = data.from_flags().load(DATASET.value, "test").take(EXAMPLES.value)
    images, labels = test.floats(), test.labels.astype("int32")
    network = tfr.targets.load_model(MODEL.value)
    twin = in_torch(network)
    difference = np.abs(twin(torch.from_numpy(images).permute(0, 3, 1, 2)).detach().numpy() - network(images).numpy())
    print(f"logits differ by at most {difference.max():.2g}")

    asked = {kind: tf.Variable(0, dtype=tf.int64) for kind in ("forward", "backward")}

    def counted(x):
        asked["forward"].assign_add(tf.shape(x, out_type=tf.int64)[0])
        return network(counting_gradients(x, asked["backward"]), training=False)

    whole = tfr.attacks.parse(f"auto_attack({BALL.value})")
    bare = {kind: bare_seconds(network, images, labels, kind == "backward") for kind in asked}
    row = "{:10} {:>9} {:>9} {:>7} {:>8} {:>6} {:>6}"
    print(row.format("part", "original", "ours", "times", "x floor", "left", "left"))
    for name, attack in zip([*PARTS, "all"], [*whole.attacks, whole]):
        with torch.backends.mkldnn.flags(enabled=ONEDNN.value):
            theirs, of_theirs = original(twin, whole.ball, images, labels, PARTS if name == "all" else [name])
        compiled, _ = sides.compiled(attack, counted, tf.constant(images), (labels + 1) % test.classes)
        for number in asked.values():
            number.assign(0)
        ours, adversarial = sides.cpu_seconds(lambda compiled=compiled: compiled(images, labels).numpy())
        forward, backward = (int(number) for number in asked.values())
        floor = (forward - backward) * bare["forward"] + backward * bare["backward"]
        left = (network(adversarial).numpy().argmax(axis=1) == labels).sum()
        numbers = f"{theirs:.1f} s", f"{ours:.1f} s", f"{theirs / ours:.2f}", f"{ours / floor:.2f}", of_theirs, left
        print(row.format(name, *numbers), flush=True)


def original(twin, ball, images, labels, parts):
    """Processor time of the original on one core, and how many images it leaves."""
    import torch
    from autoattack import AutoAttack

    from benchmarks.peers import sides

    x, y = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels).long()
    norm = type(ball).__name__  # the original has the same names
    attack = AutoAttack(twin, norm=norm, eps=ball.radius, version="standard", device="cpu", verbose=False, seed=0)
    attack.attacks_to_run = list(parts)
    seconds, adversarial = sides.cpu_seconds(lambda: attack.run_standard_evaluation(x, y, bs=len(y)))
    return seconds, int((twin(adversarial).argmax(dim=1) == y).sum())


def in_torch(network):
    """A LeNet of tfrobust in PyTorch, from [batch, 1, 28, 28] in [0, 1] to logits."""
    import numpy as np
    import torch

    kernels = {layer.name: [torch.from_numpy(np.array(w)) for w in layer.get_weights()] for layer in network.layers}
    standardize = network.get_layer("preprocessing")
    mean = torch.as_tensor(np.array(standardize.mean, "float32"))
    mean = mean.permute(2, 0, 1) if mean.ndim == 3 else mean
    scale = 1.0 / torch.as_tensor(np.array(standardize.std, "float32"))

    class LeNet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleDict()
            for name in ("conv1", "conv2"):
                kernel, bias = kernels[name]
                layer = torch.nn.Conv2d(kernel.shape[2], kernel.shape[3], 5)
                layer.weight.data, layer.bias.data = kernel.permute(3, 2, 0, 1).contiguous(), bias
                self.layers[name] = layer
            for name in ("fc1", "fc2"):
                kernel, bias = kernels[name]
                layer = torch.nn.Linear(*kernel.shape)
                layer.weight.data, layer.bias.data = kernel.T.contiguous(), bias
                self.layers[name] = layer

        def forward(self, x):
            x = (x - mean) * scale
            for name in ("conv1", "conv2"):
                x = torch.nn.functional.max_pool2d(self.layers[name](x), 2)
            x = x.permute(0, 2, 3, 1).flatten(1)  # channels last, as Keras flattens
            return self.layers["fc2"](torch.relu(self.layers["fc1"](x)))

    return LeNet().eval()


def bare_seconds(network, images, labels, gradients):
    """Processor time of one bare pass of one image, in the whole batch."""
    import tensorflow as tf

    import tfrobust as tfr
    from benchmarks.peers import sides

    access = tfr.attacks.Access.WHITE_BOX if gradients else tfr.attacks.Access.SCORE_BASED
    run = sides.bare(lambda x: network(x, training=False), tf.constant(images), tf.constant(labels), access)
    seconds = measure.interleaved_medians({"bare": run}, 5, time.process_time)["bare"]
    return seconds / sides.BARE / len(images)


flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
