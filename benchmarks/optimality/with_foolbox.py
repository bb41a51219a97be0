"""Foolbox' attacks, as its users call them, with steps that use up the passes."""

import foolbox
import numpy as np
import tensorflow as tf

from benchmarks.optimality import search

# Foolbox' eagerpy calls a function that NumPy 2 has removed.
np.find_common_type = lambda arrays, scalars: np.result_type(*arrays, *scalars)


def attacks(norm, problem, passes):
    """(name -> function (images, labels), name -> function (radii, steps, images, labels)), both -> adversarial images."""
    model = foolbox.TensorFlowModel(problem.compiled, bounds=(0, 1), device="/CPU:0")
    steps, fewer = passes // 2 - 2, passes // 20 - 1

    def using(attack, radius=None):
        def run(images, labels):
            return attack(model, tf.constant(images), tf.constant(labels), epsilons=radius)[1].numpy()

        return run

    library = foolbox.attacks
    minimal = {
        "linf": {"FMN": library.LInfFMNAttack(steps=steps), "DeepFool": library.LinfDeepFoolAttack()},
        "l2": {
            "DDN": library.DDNAttack(steps=steps),
            "FMN": library.L2FMNAttack(steps=steps),
            "CarliniWagner": library.L2CarliniWagnerAttack(binary_search_steps=9, steps=fewer),
            "DeepFool": library.L2DeepFoolAttack(),
        },
        "l1": {
            "FMN": library.L1FMNAttack(steps=steps),
            "EAD": library.EADAttack(binary_search_steps=9, steps=fewer, decision_rule="L1"),
        },
        "l0": {"FMN": library.L0FMNAttack(steps=steps)},
    }[norm]
    bounded = {"l1": {"SLIDE": library.SparseL1DescentAttack}}

    def in_a_ball(make):
        return lambda radius, steps, images, labels: using(make(steps=steps), radius)(images, labels)

    return (
        {name: using(attack) for name, attack in minimal.items()},
        {
            f"{name}, radii halved": search.one_radius_at_a_time(in_a_ball(make))
            for name, make in bounded.get(norm, {}).items()
        },
    )
