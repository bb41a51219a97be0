"""The Adversarial Robustness Toolbox' attacks, as its users call them, whole batches at once where it can."""

import numpy as np
import tensorflow as tf
from art.attacks import evasion
from art.estimators.classification import TensorFlowV2Classifier

from benchmarks.peers import comparisons

FEW = ("boundary", "carlini_wagner")  # an hour and more for 100 images


def attacks(model, shape, classes):
    """Name -> function (steps, images, labels) -> adversarial images."""

    def forward(images, training=False):
        # Some attacks make float64 images of float32 ones, by NumPy 2's rules about scalars.
        return model(tf.cast(images, tf.float32))

    classifier = TensorFlowV2Classifier(
        forward,
        nb_classes=classes,
        input_shape=shape,
        loss_object=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"),
        clip_values=(0.0, 1.0),
    )

    def using(make):
        def run(steps, images, labels):
            return make(classifier, steps, images).generate(images, labels)

        return run

    return {name: using(make) for name, make in _ATTACKS.items()}


def _pgd(classifier, steps, images):
    return evasion.ProjectedGradientDescent(
        classifier,
        eps=comparisons.RADIUS,
        eps_step=comparisons.step_size(steps),
        max_iter=steps,
        num_random_init=1,
        batch_size=len(images),
        verbose=False,
    )


def _deepfool(classifier, steps, images):
    return evasion.DeepFool(
        classifier, max_iter=steps, epsilon=0.02, nb_grads=10, batch_size=len(images), verbose=False
    )


def _carlini_wagner(classifier, steps, images):
    return evasion.CarliniL2Method(
        classifier,
        binary_search_steps=comparisons.SEARCHES,
        max_iter=steps,
        initial_const=1e-3,
        batch_size=len(images),
        verbose=False,
    )


def _boundary(classifier, steps, images):
    return evasion.BoundaryAttack(classifier, targeted=False, max_iter=steps, verbose=False)


def _square(classifier, steps, images):
    return evasion.SquareAttack(
        classifier, eps=comparisons.RADIUS, max_iter=steps - 1, batch_size=len(images), verbose=False
    )


def _jsma(classifier, steps, images):
    # It goes on as long as no more than gamma of the values have changed: one value less, for the same budget.
    gamma = (2 * steps - 1) / np.prod(images.shape[1:])
    return evasion.SaliencyMapMethod(classifier, theta=1.0, gamma=gamma, batch_size=len(images), verbose=False)


def _one_pixel(classifier, steps, images):
    # Its population is 400, rounded down to a multiple of the numbers in a member.
    return evasion.PixelAttack(classifier, th=comparisons.PIXELS, es=1, max_iter=steps, verbose=False)


_ATTACKS = {
    "pgd": _pgd,
    "deepfool": _deepfool,
    "carlini_wagner": _carlini_wagner,
    "boundary": _boundary,
    "square": _square,
    "jsma": _jsma,
    "one_pixel": _one_pixel,
}
