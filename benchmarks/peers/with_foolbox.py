"""Foolbox' attacks, as its users call them."""

import foolbox
import numpy as np
import tensorflow as tf

from benchmarks.peers import comparisons

# Foolbox' eagerpy calls a function that NumPy 2 has removed.
np.find_common_type = lambda arrays, scalars: np.result_type(*arrays, *scalars)

FEW = ()


def attacks(model, *_):
    """Name -> function (steps, images, labels) -> adversarial images."""
    wrapped = foolbox.TensorFlowModel(model, bounds=(0, 1), device="/CPU:0")

    def using(make, radius=None):
        def run(steps, images, labels):
            _, adversarial, _ = make(steps)(wrapped, tf.constant(images), tf.constant(labels), epsilons=radius)
            return adversarial.numpy()

        return run

    return {"pgd": using(_pgd, comparisons.RADIUS), **{name: using(make) for name, make in _MINIMAL.items()}}


def _pgd(steps):
    return foolbox.attacks.LinfPGD(abs_stepsize=comparisons.step_size(steps), steps=steps, random_start=True)


_MINIMAL = {
    "deepfool": lambda steps: foolbox.attacks.L2DeepFoolAttack(steps=steps, candidates=10, overshoot=0.02),
    "carlini_wagner": lambda steps: foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=comparisons.SEARCHES, steps=steps
    ),
    "ddn": lambda steps: foolbox.attacks.DDNAttack(steps=steps),
    "fmn_linf": lambda steps: foolbox.attacks.LInfFMNAttack(steps=steps),  # in l2 its projection is the identity
    "fmn_l1": lambda steps: foolbox.attacks.L1FMNAttack(steps=steps),
    "boundary": lambda steps: foolbox.attacks.BoundaryAttack(steps=steps),
}
