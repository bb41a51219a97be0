"""The Adversarial Robustness Toolbox' attacks, as its users call them, with steps that use up the passes."""

import numpy as np
import tensorflow as tf
from art.attacks import evasion
from art.estimators.classification import TensorFlowV2Classifier

from benchmarks.optimality import search


def attacks(norm, problem, passes):
    """(name -> function (images, labels), name -> function (radii, steps, images, labels)), both -> adversarial images."""

    def forward(images, training=False):
        return problem.compiled(tf.cast(images, tf.float32))

    classifier = TensorFlowV2Classifier(
        forward,
        nb_classes=problem.classes,
        input_shape=problem.images.shape[1:],
        loss_object=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"),
        clip_values=(0.0, 1.0),
    )
    many, fewer = len(problem.images), passes // 20 - 1
    order = {"linf": np.inf, "l2": 2, "l1": 1, "l0": 0}[norm]
    minimal = {
        "linf": {},
        "l2": {
            "CarliniL2": lambda: evasion.CarliniL2Method(
                classifier, binary_search_steps=9, max_iter=fewer, batch_size=many, verbose=False
            ),
            "DeepFool": lambda: evasion.DeepFool(classifier, batch_size=many, verbose=False),
        },
        "l1": {
            "ElasticNet": lambda: evasion.ElasticNet(
                classifier, binary_search_steps=9, max_iter=fewer, decision_rule="L1", batch_size=many, verbose=False
            )
        },
        "l0": {},
    }[norm]

    def apgd(radius, steps, images, labels):
        attack = evasion.AutoProjectedGradientDescent(
            classifier,
            norm=order,
            eps=radius,
            eps_step=2 * radius,
            max_iter=steps,
            nb_random_init=1,
            batch_size=len(images),
            verbose=False,
        )
        return attack.generate(images, labels)

    def using(make):
        return lambda images, labels: make().generate(images, labels)

    bounded = {} if norm == "l0" else {"AutoPGD, radii halved": search.one_radius_at_a_time(apgd)}
    return {name: using(make) for name, make in minimal.items()}, bounded
