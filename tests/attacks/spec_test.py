"""Attacks as text."""

import pytest

from tfrobust import attacks, balls, objectives
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
        ("restarts(deepfool(), times=2)", attacks.Restarts(attacks.DeepFool(), 2)),
        ("targeted(pgd(linf(0.1)), goal=least_likely)", attacks.Targeted(attacks.pgd(balls.Linf(0.1)), "least_likely")),
        ("expectation(pgd(linf(0.1)), samples=3)", attacks.Expectation(attacks.pgd(balls.Linf(0.1)), 3)),
        ("deepfool", attacks.DeepFool()),
        ("deepfool()", attacks.DeepFool()),
        ("deepfool(linf, steps=10)", attacks.DeepFool(balls.Linf, steps=10)),
    ],
)
def test_text_becomes_the_attack(text, expected):
    assert attacks.parse(text) == expected


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "does not parse"),
        ("pgd(linf(8/255)", "does not parse"),
        ("pdg(linf(0.1))", "did you mean 'pgd'"),
        ("restarts(3)", "takes an attack first"),
        ("restarts(pgd(linf(0.1)), times=0)", "times must be"),
        ("expectation(pgd(linf(0.1)), samples=0.5)", "samples must be"),
        ("targeted(pgd(linf(0.1)), goal='worst')", "goal must be"),
        ("targeted(deepfool())", "DeepFool has no targeted form"),
        ("restricted(pgd(linf(0.1)), 'no/such.npy')", "no/such.npy is not a readable .npy file"),
        ("pgd(lnf(0.1))", "did you mean 'linf'"),
        ("pgd(linf(-0.1))", "radius"),
        ("pgd(linf(1/0))", "divides by zero"),
        ("pgd(linf('a'))", "a radius is a finite number"),
        ("pgd(0.1)", "needs a linf or l2 ball"),
        ("pgd(linf)", "needs a linf or l2 ball"),
        ("pgd(l1(2))", "needs a linf or l2 ball"),
        ("bim(linf)", "needs a linf or l2 ball"),
        ("pgd()", "ball"),
        ("fgsm(linf(0.1), steps=3)", "steps"),
        ("pgd(linf(0.1), stepz=3)", "stepz"),
        ("pgd(linf(0.1), steps='a')", "whole number"),
        ("pgd(linf(0.1), steps=1.5)", "steps"),
        ("pgd(linf(0.1), **{})", "pgd"),
        ("bim(linf(0.1), steps=0)", "division by zero"),
        ("pgd(linf(1" + "0" * 400 + "))", "pgd"),
        ("-" * 100000 + "1", "does not parse"),
        ("pgd(linf(0.1), objective=l2)", "objective"),
        ("pgd(linf(0.1), objective=3)", "objective"),
        ("deepfool(steps=2.5)", "whole steps"),
        ("deepfool(l1)", "l2 and linf"),
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
