"""What every attack of the table does, on a small model, eagerly: row k of an image of 5 x 4 speaks for class k.

Here are the properties that need no training: float types, how many images are shown at once, goals, and what is a
success from the start.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls, seeds
from tfrobust.attacks import spec
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.problem import Problem
from tfrobust.errors import InputError
from tfrobust.evaluation import pixels

SHAPE, CLASSES = (5, 4, 1), 5
IMAGES = classifiers.random_images(7, SHAPE, low=0.4, high=0.6)
PIXELS = np.ones(SHAPE[:2], bool)
PATCH = np.ones([1, 1, 2], "float32")  # a white pixel
STARTS = np.stack([np.where(np.arange(5)[:, None, None] == k, 0.9, 0.1) + np.zeros(SHAPE) for k in range(CLASSES)])


def rows(images):
    """Logits: the sum of each row, less the mean of these sums."""
    sums = tf.reduce_sum(images, axis=[2, 3])
    return sums - tf.reduce_mean(sums, axis=1, keepdims=True)


LABELS = np.argmax(rows(IMAGES), axis=1).astype("int32")
WRONG = ((LABELS + 1) % CLASSES).astype("int32")

SMALL = {  # each reaches any goal on most images
    "fgsm": attacks.fgsm(balls.Linf(0.3)),
    "bim": attacks.bim(balls.Linf(0.3), steps=2),
    "pgd": attacks.pgd(balls.L2(0.8), steps=4, restarts=2),
    "mi_fgsm": attacks.mi_fgsm(balls.Linf(0.3), steps=2),
    "adam_pgd": spec.ATTACKS["adam_pgd"](balls.Linf(0.3), steps=4),
    "deepfool": attacks.DeepFool(steps=5),
    "carlini_wagner": attacks.CarliniWagner(searches=2, steps=30, learning_rate=0.1, initial_const=10.0),
    "ddn": attacks.DDN(steps=20),
    "fmn": attacks.FMN(balls.L1, steps=20),
    "pdpgd": attacks.PDPGD(balls.L1, steps=40),
    "ead": attacks.EAD(searches=3, steps=30, step_size=0.1, initial_const=1.0),
    "sigma_zero": attacks.SigmaZero(steps=30),
    "boundary": attacks.Boundary(steps=12, starts=STARTS),
    "hop_skip_jump": attacks.HopSkipJump(steps=2, samples=10, starts=STARTS),
    "spatial": attacks.Spatial(rotation=10, translation=4, samples=200),
    "adversarial_patch": attacks.AdversarialPatch(PATCH, samples=100),
    "jsma": attacks.JSMA(gamma=0.5),
    "one_pixel": attacks.OnePixel(balls.L0(4), population=20, steps=10),
    "spsa": attacks.SPSA(balls.Linf(0.3), steps=3, samples=8, learning_rate=0.1),
    "apgd": attacks.apgd(balls.Linf(0.3), steps=3),
    "apgd_targeted": attacks.apgd_targeted(balls.Linf(0.3), steps=10, targets=2),
    "fab": attacks.FAB(balls.Linf(0.3), steps=3, targets=2),
    "square": attacks.Square(balls.Linf(0.3), queries=100, p=0.2),
    "sparse_rs": attacks.SparseRS(balls.L0(8), queries=100),
    "auto_attack": attacks.auto_attack(balls.Linf(0.3)),
    "cascade": attacks.Cascade(balls.Linf(0.3), (attacks.fgsm(balls.Linf(0.01)), attacks.fgsm(balls.Linf(0.3)))),
    "restricted": attacks.Restricted(attacks.fgsm(balls.Linf(0.3)), PIXELS),
    "expectation": attacks.Expectation(attacks.fgsm(balls.Linf(0.3)), samples=2),
    "pruned": attacks.Pruned(attacks.fgsm(balls.Linf(0.3)), attacks.fgsm(balls.Linf(0.3)), within=1.0),
    "restarts": attacks.Restarts(attacks.HopSkipJump(balls.Linf, steps=1, samples=10, starts=STARTS), restarts=2),
    "targeted": attacks.Targeted(attacks.fgsm(balls.Linf(0.3)), 4),
    "budget": attacks.Budget(attacks.Square(balls.Linf(0.3), queries=100, p=0.2), queries=90),
    "surviving": attacks.Surviving(attacks.fgsm(balls.Linf(0.3)), jpeg=100),
}
every = pytest.mark.parametrize("name", SMALL)


def test_every_attack_is_here():
    assert set(SMALL) == set(spec.ATTACKS)


@pytest.mark.parametrize(
    "name, dtype",
    [(name, ("float16", "bfloat16", "float64")[place % 3]) for place, name in enumerate(SMALL)],
)
def test_models_of_any_float_type_are_attacked(name, dtype):
    """Logits of float64 are the same numbers, so the images are the same too."""
    seen = set()

    def logits_fn(images):
        seen.add(images.dtype.name)
        return tf.cast(rows(images), dtype)

    adversarial = SMALL[name](logits_fn, IMAGES[:3], LABELS[:3], seed=0)
    assert adversarial.dtype == tf.float32 and seen == {"float32"}
    assert (np.argmax(tf.cast(logits_fn(adversarial), tf.float32), axis=1) != LABELS[:3]).all()
    if dtype == "float64":
        np.testing.assert_array_equal(adversarial, SMALL[name](rows, IMAGES[:3], LABELS[:3], seed=0))


@every
@pytest.mark.parametrize("batch", [1, 3])
def test_the_model_is_never_shown_more_images_than_the_callers_batch(name, batch):
    shown = []

    def logits_fn(images):
        shown.append(len(images))
        return rows(images)

    SMALL[name](logits_fn, IMAGES[:batch], LABELS[:batch], seed=0)
    assert max(shown) <= batch and len(shown) > 1


@every
def test_every_attack_has_a_targeted_form_that_reaches_its_goal(name):
    attack = SMALL[name]
    if name == "targeted":
        reached = attack(rows, IMAGES, LABELS, seed=0)
        np.testing.assert_array_equal(np.argmax(rows(reached), axis=1), [4] * 7)
        return
    for form, goals in (
        (dataclasses.replace(attack, targeted=True), WRONG),
        (attacks.Targeted(attack, 2), np.full(7, 2)),
    ):
        reached = form(rows, IMAGES, goals if form.targeted else LABELS, seed=0)
        np.testing.assert_array_equal(np.argmax(rows(reached), axis=1), goals)


@every
def test_images_that_are_a_success_come_back_bit_for_bit_and_the_others_are_attacked(name):
    attack = SMALL[name]
    if name != "targeted":
        labels = np.where(np.arange(7) % 2 == 0, WRONG, LABELS)
        adversarial = attack(rows, IMAGES, labels, seed=0).numpy()
        np.testing.assert_array_equal(adversarial[::2], IMAGES[::2])
        assert (adversarial[1::2] != IMAGES[1::2]).any(axis=(1, 2, 3)).all()
        attack = dataclasses.replace(attack, targeted=True)
        np.testing.assert_array_equal(attack(rows, IMAGES, LABELS, seed=0), IMAGES)
    else:
        done = LABELS == 4
        assert done.any()
        np.testing.assert_array_equal(attack(rows, IMAGES, LABELS, seed=0)[done], IMAGES[done])


@every
def test_in_8_bits_the_model_is_shown_files_and_what_comes_back_is_what_it_was_shown(name):
    """So an attack's own success is the file's: nothing is lost by rounding afterwards. The images are off the grid."""
    attack, shown = SMALL[name], []

    def logits_fn(images):
        shown.extend(image.numpy() for image in tf.unstack(images))
        return rows(images)

    problem = Problem(logits_fn, IMAGES[:3], LABELS[:3], keys=seeds.per_example(0, tf.range(3))).rounded(attack.ball)
    made = attack.solve(problem).numpy()
    levels = (np.arange(256) / 255.0).astype("float32")
    assert np.isin(shown, levels).all() and np.isin(made, levels).all()
    if attack.ball:
        assert all(attack.ball.contains(image - problem.images).numpy().any() for image in shown)
        assert attack.ball.contains(made - problem.images).numpy().all()
    np.testing.assert_array_equal(pixels.round_to_uint8(made, problem.images.numpy(), attack.ball), made)
    assert (np.argmax(rows(made), axis=1) != LABELS[:3]).mean() > 0.6


@every
def test_nothing_but_the_clean_images_is_asked_about_if_all_are_a_success(name):
    shown = []

    def logits_fn(images):
        shown.append(len(images))
        return rows(images)

    attack = attacks.Targeted(SMALL[name].attack, 4) if name == "targeted" else SMALL[name]
    images, labels = (IMAGES[LABELS == 4], LABELS[LABELS == 4]) if name == "targeted" else (IMAGES, WRONG)
    attack(logits_fn, images, labels, seed=0)
    assert shown == [len(images)] * (2 if name in ("expectation", "surviving") else 1)


def test_access_is_ordered_and_prints_in_the_fields_words():
    assert Access.DECISION_BASED < Access.SCORE_BASED < Access.WHITE_BOX
    assert [str(access) for access in Access] == ["decision-based", "score-based", "white-box"]
    needs = {name: str(attack.needs) for name, attack in SMALL.items()}
    assert {name for name, access in needs.items() if access == "decision-based"} == {
        "boundary",
        "hop_skip_jump",
        "spatial",
        "adversarial_patch",
        "restarts",
    }
    assert {name for name, access in needs.items() if access == "score-based"} == {
        "one_pixel",
        "sparse_rs",
        "spsa",
        "square",
        "budget",
    }


def test_an_attack_has_a_ball_or_a_norm_but_where_no_norm_measures_its_limits():
    for name, attack in SMALL.items():
        of_no_norm = name in ("spatial", "adversarial_patch")
        assert (attack.ball is None, attack.norm is None).count(True) == (2 if of_no_norm else 1)
        assert attack.bounded == (attack.norm is None)
    assert SMALL["restarts"].norm is balls.Linf and SMALL["budget"].ball == balls.Linf(0.3)


def test_attacks_are_frozen_values():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SMALL["pgd"].steps = 3
    with pytest.raises(TypeError):
        attacks.PGD(balls.Linf(0.1), 3)
    with pytest.raises(TypeError):
        Attack()


def test_labels_alone_are_not_enough_for_scores():
    with pytest.raises(InputError, match="needs logits"):
        SMALL["square"](lambda images: tf.argmax(rows(images), axis=1), IMAGES, LABELS, seed=0)
