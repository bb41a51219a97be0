"""Attacks as text."""

import re

import numpy as np
import pytest

from tfrobust import attacks, balls, objectives
from tfrobust.attacks import spec, steps
from tfrobust.errors import InputError


@pytest.mark.parametrize(
    "text, expected",
    [
        ("fgsm(linf(8/255))", attacks.fgsm(balls.Linf(8 / 255))),
        (" pgd(l2(0.5), steps=40, restarts=5) ", attacks.pgd(balls.L2(0.5), steps=40, restarts=5)),
        ("pgd(linf(0.1), step_size=2/255)", attacks.pgd(balls.Linf(0.1), step_size=2 / 255)),
        ("pgd(linf(0.1), random_start=False)", attacks.pgd(balls.Linf(0.1), random_start=False)),
        ("pgd(linf(0.1), objective=margin)", attacks.pgd(balls.Linf(0.1), objective=objectives.margin)),
        ("mi_fgsm(linf(2*8/255))", attacks.mi_fgsm(balls.Linf(16 / 255))),
        ("restarts(deepfool(), restarts=2)", attacks.Restarts(attacks.DeepFool(), 2)),
        ("targeted(pgd(linf(0.1)), goal=least_likely)", attacks.Targeted(attacks.pgd(balls.Linf(0.1)), "least_likely")),
        ("expectation(pgd(linf(0.1)), samples=3)", attacks.Expectation(attacks.pgd(balls.Linf(0.1)), 3)),
        ("deepfool", attacks.DeepFool()),
        ("deepfool()", attacks.DeepFool()),
        ("deepfool(linf, steps=10)", attacks.DeepFool(balls.Linf, steps=10)),
        ("pgd(linf(0.1), optimizer=momentum(0.5))", attacks.pgd(balls.Linf(0.1), optimizer=steps.Momentum(0.5))),
        ("mi_fgsm(linf(0.1), momentum=0.5)", attacks.mi_fgsm(balls.Linf(0.1), momentum=0.5)),
        ("one_pixel(l0(2), steps=7)", attacks.OnePixel(balls.L0(2), steps=7)),
        ("fab(linf(0.1), targets=9)", attacks.FAB(balls.Linf(0.1), targets=9)),
        ("fab(l2)", attacks.FAB(balls.L2)),
        ("targeted(deepfool(), 3)", attacks.Targeted(attacks.DeepFool(), 3)),
        ("boundary(targeted=True)", attacks.Boundary(targeted=True)),
        ("budget(square(linf(0.1)), 7)", attacks.Budget(attacks.Square(balls.Linf(0.1)), queries=7)),
    ],
)
def test_text_becomes_the_attack(text, expected):
    assert attacks.parse(text) == expected


FAMILIES = [  # each line one family, at the radii 0.1 and 0.2
    "fgsm(linf({r}))",
    "bim(linf({r}))",
    "bim(l2({r}))",
    "bim(linf({r}), steps=20)",
    "bim(linf({r}), step_size=0.03)",
    "mi_fgsm(linf({r}))",
    "pgd(linf({r}))",
    "pgd(linf({r}), objective=margin)",
    "pgd(linf({r}), step_size=0.01)",
    "pgd(linf({r}), keep=last)",
    "adam_pgd(linf({r}))",
    "apgd(linf({r}))",
    "apgd_targeted(linf({r}))",
    "fab(linf({r}), targets=9)",
    "square(linf({r}))",
    "square(l2({r}))",
    "pgd(l1({r}))",
    "apgd(l1({r}))",
    "auto_attack(linf({r}))",
    "auto_attack(linf({r}), version=rand)",
    "auto_attack(linf({r}), version=plus)",
    "auto_attack(linf({r}), version=fast)",
    "cascade(linf({r}), (apgd(linf({r})), square(linf({r}))))",
    "cascade(linf({r}), (square(linf({r})), apgd(linf({r}))))",
    "restarts(targeted(pgd(linf({r})), 3), restarts=2)",
    "pruned(apgd(linf({r})), apgd(linf({r}), steps=9))",
    "restarts(targeted(pgd(linf({r})), 4), restarts=2)",
    "budget(square(linf({r})), queries=7)",
]
ALONE = [
    "fab(linf)",
    "deepfool(linf)",
    "deepfool()",
    "carlini_wagner()",
    "jsma()",
    "ddn()",
    "fmn(l1)",
    "fmn(l0)",
    "pdpgd()",
    "ead()",
    "sigma_zero()",
    "spatial()",
    "spatial(samples=10)",
]


def test_a_family_is_an_attack_but_for_its_radii():
    members = [[attacks.parse(line.format(r=radius)) for line in FAMILIES] for radius in (0.1, 0.2, 0.2)]
    families = [[attack.family() for attack in row] for row in members]
    assert families[0] == families[1] == families[2]
    alone = [attacks.parse(text) for text in ALONE]
    assert len({*families[0], *(attack.family() for attack in alone)}) == len(FAMILIES) + len(ALONE)
    assert [attack.at_radius(0.2) for attack in members[0]] == members[1]
    assert [attack.at_radius(0.2) for attack in alone] == alone


def test_a_family_knows_what_its_arrays_hold(tmp_path):
    """Two attacks of equal text may differ."""
    found = []
    for first in (True, False, True):
        np.save(tmp_path / "mask.npy", np.array([[first, True]]))
        found.append(attacks.parse(f"restricted(pgd(linf(0.1)), {str(tmp_path / 'mask.npy')!r})").family())
    assert found[0] == found[2] != found[1] and len(set(found)) == 2


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "does not parse"),
        ("pgd(linf(8/255)", "does not parse"),
        ("pdg(linf(0.1))", "did you mean 'pdpgd' or 'pgd'"),
        ("restarts(3)", "takes an attack first"),
        ("restarts(pgd(linf(0.1)), restarts=0)", "restarts: restarts must be a whole number of at least 1, got 0"),
        ("restarts(pgd(linf(0.1)), times=2)", "times"),
        ("one_pixel(l0(1), generations=2)", "generations"),
        ("pgd(linf(0.1), momentum=0.5)", "momentum"),
        ("pgd(linf(0.1), 40)", "pgd"),
        ("expectation(pgd(linf(0.1)), samples=0.5)", "samples must be"),
        (
            "targeted(pgd(linf(0.1)), goal='worst')",
            "targeted: goal, unless it is one of least_likely, random, must be a whole number",
        ),
        ("restricted(pgd(linf(0.1)), 'no/such.npy')", "no/such.npy is not a readable .npy file"),
        ("pgd(lnf(0.1))", "did you mean 'linf'"),
        ("pgd(linf(-0.1))", "radius"),
        ("pgd(linf(1/0))", "divides by zero"),
        ("pgd(linf('a'))", "a radius is a finite number"),
        ("pgd(0.1)", "ball must be a linf, l2 or l1 ball"),
        ("pgd(linf)", "ball must be a linf, l2 or l1 ball"),
        ("cascade(0.1, (deepfool(),))", "ball must be a linf, l2, l1 or l0 ball"),
        ("pgd(l0(2))", "ball must be a linf, l2 or l1 ball"),
        ("bim(linf)", "ball must be a linf, l2 or l1 ball"),
        ("pgd()", "ball"),
        ("fgsm(linf(0.1), steps=3)", "steps"),
        ("pgd(linf(0.1), stepz=3)", "stepz"),
        ("pgd(linf(0.1), steps='a')", "whole number"),
        ("pgd(linf(0.1), steps=1.5)", "steps"),
        ("pgd(linf(0.1), **{})", "pgd"),
        ("bim(linf(0.1), step=3)", "bim: unknown argument 'step'; did you mean 'steps'"),
        ("bim(linf(0.1), steps=0)", "steps must be a whole number of at least 1, got 0"),
        ("pgd(linf(1" + "0" * 400 + "))", "pgd"),
        ("-" * 100000 + "1", "does not parse"),
        ("pgd(linf(0.1), objective=l2)", "objective"),
        ("pgd(linf(0.1), objective=3)", "objective"),
        ("deepfool(steps=2.5)", "deepfool: steps must be a whole number"),
        ("deepfool(l1)", "deepfool: norm must be l2 or linf"),
        ("fab(linf, radius=0.1)", "radius"),
        ("linf(0.1)", "unknown attack"),
        ("1 + 1", "name(arguments)"),
        ("__import__('os').system('true')", "name(arguments)"),
        ("pgd(linf(__import__('os')))", "unknown name"),
        ("(lambda: 0)()", "name(arguments)"),
    ],
)
def test_everything_else_is_refused_and_says_why(text, said):
    with pytest.raises(InputError) as raised:
        attacks.parse(text)
    assert said in str(raised.value) and "\n" not in str(raised.value)


PRINTED = [  # attacks as they print, the shortest way
    "fgsm(linf(8/255))",
    "fgsm(l2(0.5), objective=dlr)",
    "bim(linf(8/255), steps=4)",
    "bim(linf(0.1), step_size=1/255)",
    "pgd(linf(0.1))",
    "pgd(linf(8/255), steps=40, step_size=2/255, restarts=5, objective=margin)",
    "pgd(l2(1), random_start=False)",
    "pgd(linf(0.1), optimizer=adam(second_moment=0.99))",
    "pgd(linf(0.1), optimizer=momentum())",
    "pgd(linf(0.1), optimizer=steepest(norm=l2))",
    "mi_fgsm(linf(0.1), step_size=1/255)",
    "deepfool()",
    "deepfool(linf, targeted=True, steps=3, overshoot=0.5)",
    "carlini_wagner(confidence=1.5, abort_early=False)",
    "ddn(initial_radius=0.5)",
    "fmn(l0, gamma=0.1, objective=margin)",
    "pdpgd(l1, primal_rate=0.05)",
    "ead(elastic=True)",
    "sigma_zero(steps=100)",
    "sparse_rs(l0(9), shape='patch')",
    "boundary(steps=7)",
    "hop_skip_jump(linf, samples=3)",
    "spatial(rotation=15, translations=3)",
    "spatial(samples=10)",
    "jsma(theta=-0.5)",
    "one_pixel(l0(3), steps=0)",
    "spsa(l2(0.5), delta=0.001)",
    "apgd(linf(0.1), objective=dlr_or_margin)",
    "apgd_targeted(linf(0.1))",
    "apgd(linf(0.1), targets=3)",
    "fab()",
    "fab(l2, targets=9)",
    "fab(l2(0.5))",
    "square(linf(0.1), schedule=10000)",
    "auto_attack(linf(8/255))",
    "auto_attack(l2(0.5), version='rand')",
    "auto_attack(linf(0.1), version='fast')",
    "auto_attack(l1(12), version='plus')",
    "cascade(linf(0.1), (apgd(linf(0.1)), square(linf(0.1), queries=100)))",
    "cascade(linf(0.1), (fgsm(linf(0.1)),))",
    "expectation(pgd(linf(0.1)), 3)",
    "restarts(targeted(deepfool(), 3), 2)",
    "pruned(apgd(linf(0.1)), fgsm(linf(0.1)), 0.2)",
    "targeted(expectation(auto_attack(linf(0.1))), 'least_likely')",
    "budget(restarts(square(linf(0.1))))",
    "surviving(surviving(pgd(linf(0.1)), 95), 60)",
]


@pytest.mark.parametrize("text", PRINTED)
def test_printing_is_the_inverse_of_parsing(text):
    attack = attacks.parse(text)
    assert str(attack) == text and attacks.parse(str(attack)) == attack and hash(attack) == hash(attacks.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "adam_pgd(linf(0.1))",
        "mi_fgsm(linf(0.1), momentum=0.5)",
        "apgd_targeted(linf(0.1), targets=3, restarts=2)",
        "restarts(expectation(targeted(pgd(linf(8/255)), goal=random), samples=3), restarts=2)",
    ],
)
def test_what_prints_as_another_call_is_equal_too(text):
    attack = attacks.parse(text)
    assert attacks.parse(str(attack)) == attack


def test_every_attack_is_printed():
    """Two are below: they hold arrays. Adam's PGD prints as PGD."""
    names = {name for text in [*PRINTED, "adam_pgd()"] for name in re.findall(r"\w+(?=\()", text)}
    assert names >= set(spec.ATTACKS) - {"restricted", "adversarial_patch"}


@pytest.mark.parametrize(
    "radius", [8 / 255, 0.1 + 0.2, 1 / 3, 1e-9, 0, 1, np.float32(0.1), np.float64(0.25), np.int64(1)]
)
def test_any_radius_survives(radius):
    attack = attacks.pgd(balls.Linf(radius), step_size=radius or None)
    assert attacks.parse(str(attack)) == attack and attacks.parse(str(attack)).ball.radius == radius


def test_arrays_are_equal_by_contents_and_print_their_path(tmp_path):
    pixels, images = np.arange(6).reshape(2, 3) % 2 == 0, np.full([2, 2, 3, 1], 0.5, "float32")
    patch = np.full([3, 3, 2], 0.5, "float32")
    for name, array in (("pixels", pixels), ("starts", images), ("patch", patch)):
        np.save(tmp_path / name, array)
    path, starts = repr(str(tmp_path / "pixels.npy")), repr(str(tmp_path / "starts.npy"))
    for text, same in (
        (f"restricted(fgsm(linf(0.1)), {path})", attacks.Restricted(attacks.fgsm(balls.Linf(0.1)), pixels)),
        (f"adversarial_patch({str(tmp_path / 'patch.npy')!r}, samples=3)", attacks.AdversarialPatch(patch, samples=3)),
        (f"boundary(starts={starts})", attacks.Boundary(starts=images.copy())),
        (f"hop_skip_jump(linf, starts={starts})", attacks.HopSkipJump(balls.Linf, starts=images)),
        (f"restarts(restricted(jsma(), {path}), 2)", attacks.Restarts(attacks.Restricted(attacks.JSMA(), pixels), 2)),
    ):
        attack = attacks.parse(text)
        assert str(attack) == text and attack == same and hash(attack) == hash(same)
    assert attacks.Boundary(starts=images) != attacks.Boundary(starts=images / 2) != attacks.Boundary()


@pytest.mark.parametrize("name", spec.ATTACKS)
def test_every_attack_says_what_memory_it_takes(name):
    assert "\n    Memory: " in spec.ATTACKS[name].__doc__
