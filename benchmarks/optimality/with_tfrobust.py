"""tfrobust's attacks, compiled, with steps that use up the passes."""

import functools

import tensorflow as tf

import tfrobust as tfr
from benchmarks.optimality import search

# {steps} are of one forward and one backward pass each; {half} are half of them, {fewer} a tenth; {fab} those of FAB toward
# nine classes, with two forward passes each.
_MINIMAL = {
    "linf": (
        "fmn(linf, steps={steps})",
        "fab(linf, targets=9, steps={fab})",
        "pdpgd(linf, steps={steps})",
        "deepfool(linf)",
    ),
    "l2": (
        "ddn(steps={steps})",
        "fmn(l2, steps={steps})",
        "fab(l2, targets=9, steps={fab})",
        "carlini_wagner(searches=9, steps={fewer})",
        "pdpgd(l2, steps={steps})",
        "deepfool()",
    ),
    "l1": (
        "fmn(l1, steps={steps})",
        "pdpgd(l1, steps={steps})",
        "ead(searches=9, steps={fewer})",
        "fab(l1, targets=9, steps={fab})",
    ),
    "l0": (
        "sigma_zero(steps={steps})",
        "sigma_zero(steps={half}, pruning={half})",
        "fmn(l0, steps={steps})",
        "pdpgd(l0, steps={steps})",
    ),
}


def _of_both_objectives(ball, steps):
    """Half of the steps by the cross-entropy, and where that fails half by the margin."""
    half, apgd = max(steps // 2, 1), tfr.attacks.apgd
    return tfr.attacks.Cascade(ball, (apgd(ball, steps=half), apgd(ball, steps=half, objective=tfr.objectives.margin)))


_BOUNDED = {"apgd": tfr.attacks.apgd, "apgd, then by the margin": _of_both_objectives}  # not in l0


def attacks(norm, problem, passes):
    """(name -> function (images, labels), name -> function (radii, steps, images, labels)), both -> adversarial images."""
    numbers = {
        "steps": passes // 2 - 2,
        "half": passes // 4 - 1,
        "fewer": passes // 20 - 1,
        "fab": max(passes // 30 - 1, 1),
    }
    shape = problem.images.shape[1:]
    signature = [tf.TensorSpec([None, *shape]), tf.TensorSpec([None], tf.int32)]

    def minimal(text):
        attack = tfr.attacks.parse(text)
        run = tf.function(lambda x, y: attack(problem.model, x, y, seed=0), signature, autograph=False)
        return lambda images, labels: run(images, labels).numpy()

    def bounded(make):
        @functools.cache
        def compiled(steps):
            def attack(radius, images, labels):
                in_ball = make(_ball(tfr.attacks.spec.BALLS[norm], radius), steps=steps)
                return in_ball(problem.model, images, labels, seed=0)

            return tf.function(attack, [tf.TensorSpec([]), *signature], autograph=False)

        def run(radius, steps, images, labels):
            return compiled(steps)(tf.constant(radius, tf.float32), images, labels).numpy()

        return run

    texts = [text.format_map(numbers) for text in _MINIMAL[norm]]
    return {text: minimal(text) for text in texts}, {
        f"{name}, radii halved": search.one_radius_at_a_time(bounded(make))
        for name, make in (_BOUNDED.items() if norm != "l0" else ())
    }


def _ball(kind, radius):
    """A ball whose radius is a tensor, so that one graph serves all radii."""
    ball = object.__new__(kind)
    object.__setattr__(ball, "radius", radius)
    return ball
