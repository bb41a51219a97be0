"""torchattacks' attacks, as its users call them, on the TensorFlow model: a PyTorch function whose gradients are TensorFlow's."""

import sys

import tensorflow as tf

sys.modules["triton"] = None  # PyTorch's compiler for GPUs: its LLVM and TensorFlow's do not go into one process
import torch  # noqa: E402
import torchattacks  # noqa: E402


class _Bridge(torch.autograd.Function):
    @staticmethod
    def forward(context, images, model):
        x = tf.constant(images.detach().permute(0, 2, 3, 1).contiguous().numpy())
        with tf.GradientTape(persistent=True) as tape:  # several backward passes go through it
            tape.watch(x)
            logits = model(x)
        context.found = tape, x, logits
        return torch.from_numpy(logits.numpy())

    @staticmethod
    def backward(context, upstream):
        tape, x, logits = context.found
        gradient = tape.gradient(logits, x, output_gradients=tf.constant(upstream.contiguous().numpy()))
        return torch.from_numpy(gradient.numpy()).permute(0, 3, 1, 2).contiguous(), None


class _Network(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.nothing = torch.nn.Parameter(torch.zeros(1))  # the library asks for the device of the parameters

    def forward(self, images):
        return _Bridge.apply(images, self.model)


def attacks(norm, problem, passes):
    """(name -> function (images, labels), name -> function (radii, steps, images, labels)), both -> adversarial images."""
    torch.set_num_threads(1)
    network = _Network(problem.compiled).eval()
    steps, fewer, classes = passes // 2 - 2, passes // 20 - 1, problem.classes

    def using(attack):
        def run(images, labels):
            made = attack(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels).long())
            return made.detach().permute(0, 2, 3, 1).numpy()

        return run

    minimal = {
        "linf": {"FAB": _fab(network, "Linf", fewer, classes)},
        "l2": {
            "CW": torchattacks.CW(network, c=1, steps=steps),
            "DeepFool": torchattacks.DeepFool(network),
            "FAB": _fab(network, "L2", fewer, classes),
        },
        "l1": {"FAB": _fab(network, "L1", fewer, classes)},
        "l0": {"SparseFool": torchattacks.SparseFool(network, steps=20)},
    }[norm]

    def apgd(radii, steps, images, labels):
        name, each = {"linf": "Linf", "l2": "L2"}[norm], torch.from_numpy(radii)[:, None, None, None]
        return using(torchattacks.APGD(network, norm=name, eps=each, steps=steps))(images, labels)

    bounded = {"APGD, radii halved": apgd} if norm in ("linf", "l2") else {}
    return {name: using(attack) for name, attack in minimal.items()}, bounded


def _fab(network, norm, steps, classes):
    """With the distance that is looked for in a range that covers all."""
    return torchattacks.FAB(network, norm=norm, eps=100.0, steps=steps, multi_targeted=True, n_classes=classes)
