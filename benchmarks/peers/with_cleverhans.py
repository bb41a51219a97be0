"""CleverHans' attacks for TensorFlow 2, as its users call them."""

import numpy as np
import tensorflow as tf
from cleverhans.tf2.attacks.carlini_wagner_l2 import carlini_wagner_l2
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent

from benchmarks.peers import comparisons

FEW = ()


def attacks(model, *_):
    """Name -> function (steps, images, labels) -> adversarial images."""

    def pgd(steps, images, labels):
        adversarial = projected_gradient_descent(
            model,
            tf.constant(images),
            eps=comparisons.RADIUS,
            eps_iter=comparisons.step_size(steps),
            nb_iter=steps,
            norm=np.inf,
            clip_min=0.0,
            clip_max=1.0,
            y=tf.constant(labels),
            rand_init=True,
        )
        return adversarial.numpy()

    def carlini_wagner(steps, images, labels):
        # Given labels it takes for goals: without them it attacks the predictions.
        return carlini_wagner_l2(
            model,
            images,
            batch_size=len(images),
            binary_search_steps=comparisons.SEARCHES,
            max_iterations=steps,
            learning_rate=0.01,
            initial_const=1e-3,
        )

    return {"pgd": pgd, "carlini_wagner": carlini_wagner}
