"""What is true of every attack. The table is in `tests/support/attacks.py`.

The same seed gives the same adversarial image bit for bit from run to run and in whatever order the examples come.
Across batch sizes kernels round differently, and a search that decides by comparisons may go another way from there:
the verdict has to agree on 99 % of 203 examples.
"""

import re

import numpy as np
import pytest

from tests.support.attacks import (
    ATTACKS,
    BOUNDED,
    DETERMINISTIC,
    EXAMPLES,
    MINIMAL,
    ON_COLORS,
    Case,
    ColorCase,
    every,
    names,
)
from tfrobust import attacks
from tfrobust.attacks import spec
from tfrobust.evaluation import pixels

ALL = np.arange(EXAMPLES)
SOME = np.arange(12)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return Case(tmp_path_factory.mktemp("case"))


def test_every_attack_is_in_the_table():
    assert names() | {"auto_attack"} == set(spec.ATTACKS)


@every(ATTACKS)
def test_keeps_shape_and_type_and_range(case, text):
    adversarial = case.adversarial(text)
    assert adversarial.shape == case.images.shape and adversarial.dtype == np.float32
    assert np.isfinite(adversarial).all() and adversarial.min() >= 0 and adversarial.max() <= 1


@every(BOUNDED)
def test_stays_in_its_ball(case, text):
    assert pixels.in_ball(case.adversarial(text) - case.images, case.attack(text).ball).all()


@every(ATTACKS)
def test_breaks_some_but_not_all(case, text):
    assert 10 <= case.verdict(text, case.adversarial(text)).sum() <= 190


@every(ATTACKS)
def test_same_seed_same_images_to_the_bit(case, text):
    np.testing.assert_array_equal(case.run(text, ALL), case.adversarial(text))


@every(ATTACKS)
def test_the_order_of_the_examples_changes_no_bit(case, text):
    order = np.random.default_rng(0).permutation(EXAMPLES)
    np.testing.assert_array_equal(case.run(text, order), case.adversarial(text)[order])


@every(ATTACKS)
def test_the_verdict_does_not_depend_on_the_batch_size(case, text):
    whole, parts = (case.verdict(text, case.adversarial(text, size)) for size in (EXAMPLES, 48))
    assert (parts == whole).mean() >= 0.99


@every(ATTACKS)
def test_random_draws_depend_on_the_seed_where_there_are_any(case, text):
    same = np.array_equal(case.run(text, SOME, seed=1), case.run(text, SOME, seed=2))
    assert same == any(name in text for name in DETERMINISTIC)


@every(ATTACKS)
def test_is_traced_once_for_all_seeds_and_batch_sizes(case, text):
    case.run(text, SOME), case.run(text, SOME[:5], seed=1)
    assert case.traces[text] == 1


@every(ATTACKS)
def test_leaves_the_model_untouched(case, text):
    """The network has moving statistics and dropout, which a call in training mode would move."""
    before = [variable.numpy() for variable in case.network.variables]
    case.run(text, SOME)
    for old, variable in zip(before, case.network.variables):
        np.testing.assert_array_equal(old, variable)


def eager(text):
    """Black-box attacks, which run eagerly on what is no TensorFlow model, and one that takes gradients."""
    return text.startswith(("square(", "one_pixel(", "spsa(linf", "boundary(", "hop_skip_jump(linf", "pgd(l1"))


@every(filter(eager, ATTACKS))
def test_eager_equals_compiled(case, text):
    np.testing.assert_allclose(case.run_eagerly(case.attack(text), SOME), case.run(text, SOME), atol=1e-4)


@every(MINIMAL)
def test_minimal_norm_attacks_break_everything(case, text):
    assert case.broken(case.adversarial(text)).mean() >= (0.5 if "jsma" in text else 0.95)


@every([text for text in ATTACKS if "targeted(" not in text])
def test_misclassified_images_come_back_unchanged(case, text):
    wrong = (case.labels[SOME] + 1) % 10
    np.testing.assert_array_equal(case.run(text, SOME, labels=wrong), case.images[SOME])


@every([text for text in ATTACKS if "steps=" in text])
def test_more_steps_are_no_weaker(case, text):
    once = case.run_eagerly(case.attack(re.sub(r"steps=\d+", "steps=1", text)), SOME)
    whole = case.adversarial(text).copy()
    stronger = case.verdict(text, whole)
    whole[SOME] = once
    assert stronger[SOME].sum() >= case.verdict(text, whole)[SOME].sum()


@every(BOUNDED)
def test_a_ball_of_radius_zero_leaves_everything(case, text):
    attack = case.attack(with_radius(re.sub(r"steps=\d+", "steps=1", text), 0))
    np.testing.assert_array_equal(case.run_eagerly(attack, SOME), case.images[SOME])


@every([text for text in BOUNDED if not text.startswith(("fgsm", "targeted", "one_pixel"))])
def test_a_huge_radius_reaches_chance(case, text):
    """Inside linf(1) every image is allowed. A single step need not find one, nor a few steps a given class."""
    attack = case.attack(with_radius(text, 1 if "linf" in text else 26 if "l2" in text else 28 * 24))
    assert case.broken(case.run_eagerly(attack, SOME), SOME).mean() >= 0.9


@every(ATTACKS)
def test_black_and_white_digits_with_and_without_gray_pixels(case, text):
    """What a minimal-norm attack breaks of the digits as they are, it breaks of these."""
    for images, labels in case.mixed:
        adversarial = case.on_another_kind(text, images, labels)
        assert np.isfinite(adversarial).all() and adversarial.min() >= 0 and adversarial.max() <= 1
        if text in BOUNDED:
            assert pixels.in_ball(adversarial - images, case.attack(text).ball).all()
        if text in MINIMAL:
            broken = np.argmax(case.target.logits(adversarial), axis=1) != labels
            assert broken.mean() >= (0.3 if "jsma" in text else 0.9), broken


@pytest.fixture(scope="module")
def color_case():
    return ColorCase()


def test_every_algorithm_is_tried_on_colors():
    wrapped = ("restricted(", "expectation(", "restarts(", "pruned(", "budget(", "targeted(", "cascade(", "surviving(")
    wrapped += ("adversarial_patch(",)  # it is another attack with each patch
    algorithms = {type(attacks.parse(text)) for text in ATTACKS if not text.startswith(wrapped)}
    assert {type(attacks.parse(text)) for text in ON_COLORS} == algorithms


@every(ON_COLORS)
def test_color_images_of_each_kind_are_broken_within_ball_and_box(color_case, text):
    adversarial, attack = color_case.adversarial(text), attacks.parse(text)
    assert np.isfinite(adversarial).all() and adversarial.min() >= 0 and adversarial.max() <= 1
    assert attack.ball is None or pixels.in_ball(adversarial - color_case.images, attack.ball).all()
    least = 0.5 if "one_pixel" in text else 0.8
    assert min(color_case.broken(text)) >= least, color_case.broken(text)


def with_radius(text, radius):
    return re.sub(r"(linf|l2|l1|l0)\([\d.]+\)", rf"\1({radius})", text)
