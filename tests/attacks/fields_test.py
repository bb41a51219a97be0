"""What the fields of attacks may hold."""

import dataclasses

import numpy as np
import pytest

from tfrobust import attacks, balls, objectives
from tfrobust.attacks import fields
from tfrobust.errors import InputError

BALL = balls.Linf(0.1)
MASK = np.arange(6).reshape(2, 3) % 2 == 0


@pytest.mark.parametrize(
    "attack, field, value, kept",
    [
        (attacks.PGD(BALL), "steps", np.int64(3), 3),
        (attacks.PGD(BALL), "steps", np.uint8(3), 3),
        (attacks.PGD(BALL), "step_size", np.float64(0.25), 0.25),
        (attacks.PGD(BALL), "step_size", np.float32(0.1), float(np.float32(0.1))),
        (attacks.PGD(BALL), "step_size", np.int32(1), 1),
        (attacks.PGD(BALL), "step_size", None, None),
        (attacks.PGD(BALL), "random_start", np.bool_(True), True),
        (attacks.FAB(), "targets", np.int16(4), 4),
        (attacks.Targeted(attacks.PGD(BALL)), "goal", np.int64(2), 2),
        (attacks.PGD(balls.Linf(np.float32(0.5))), "ball", balls.L2(np.int8(1)), balls.L2(1)),
    ],
)
def test_numpy_scalars_pass_and_become_python_numbers(attack, field, value, kept):
    found = getattr(dataclasses.replace(attack, **{field: value}), field)
    assert found == kept and type(found) is type(kept)


def test_a_ball_of_a_numpy_radius_holds_a_python_number():
    assert type(balls.Linf(np.float32(0.5)).radius) is float and type(balls.L0(np.int64(2)).radius) is int


REFUSED = [  # attack, field, what is refused, what is expected
    (attacks.PGD(BALL), "steps", (0, -1, 2.0, True, np.bool_(True), "3", None), "a whole number of at least 1"),
    (attacks.APGD(BALL), "targets", (-1, 0.5, False), "a whole number of at least 0"),
    (attacks.DeepFool(), "candidates", (1, True), "a whole number of at least 2"),
    (attacks.OnePixel(balls.L0(1)), "population", (3, 4.0), "a whole number of at least 4"),
    (attacks.Surviving(attacks.PGD(BALL)), "jpeg", (0, 101, 75.0, True, None), "a whole number from 1 to 100"),
    (attacks.PGD(BALL), "step_size", (0, -0.1, np.nan, np.inf, True, "1", 1j), "a positive number"),
    (attacks.DeepFool(), "overshoot", (-0.1, np.nan, None, False), "a number of at least 0"),
    (attacks.Square(BALL), "p", (0, 1.5, np.nan, True), "above 0 and at most 1"),
    (attacks.Boundary(), "source_step", (0, 1, 1.0), "above 0 and below 1"),
    (attacks.JSMA(), "theta", (0, -1.1, 2), "from -1 to 1 and not 0"),
    (attacks.Cascade(BALL, (attacks.PGD(BALL),)), "ball", (balls.L2, 0.1), "a linf, l2, l1 or l0 ball"),
    (attacks.PGD(BALL), "keep", ("first", None, 1), "best or last"),
    (attacks.PGD(BALL), "random_start", (0, 1, "True", None), "True or False"),
    (attacks.PGD(BALL), "targeted", (2, None), "True or False"),
    (attacks.PGD(BALL), "objective", ("margin", 3, balls.L2), "a function of logits and labels"),
    (attacks.PGD(BALL), "ball", (0.1, balls.Linf, balls.L0(1), None), "a linf, l2 or l1 ball with a radius"),
    (attacks.SPSA(BALL), "ball", (0.1, balls.L1(1.0), None), "a linf or l2 ball with a radius"),
    (attacks.OnePixel(balls.L0(1)), "ball", (1, balls.L2(1.0), balls.L0), "a number of pixels, such as l0"),
    (attacks.CarliniWagner(), "norm", (balls.Linf, balls.L2(1.0), "l2"), "l2"),
    (attacks.EAD(), "norm", (balls.L2, balls.L1(1.0)), "l1"),
    (attacks.SigmaZero(), "norm", (balls.L1, balls.L0(1)), "l0"),
    (attacks.SparseRS(balls.L0(1)), "shape", ("ring", None), "pixels or patch"),
    (attacks.DeepFool(), "norm", (balls.L1, balls.Linf(0.1), None), "l2 or linf"),
    (attacks.FMN(), "norm", (balls.L1(1.0), "l1", None), "l2, linf, l1 or l0"),
    (attacks.FAB(), "within", (balls.L0(1), balls.L0, 0.1, None), "l2, linf or l1, or a ball of these"),
    (attacks.Restricted(attacks.PGD(BALL), MASK), "pixels", (MASK[0], 1.0 * MASK, ~MASK & MASK, None), "bool"),
    (attacks.Boundary(), "starts", (np.zeros([1, 2, 3]), np.full([1, 2, 2, 1], 1.5)), "float images"),
    (
        attacks.AdversarialPatch(np.ones([3, 3, 2])),
        "patch",
        (MASK, np.ones([3, 2, 2]), np.full([3, 3, 2], 2.0)),
        "a patch",
    ),
    (attacks.Targeted(attacks.PGD(BALL)), "goal", ("worst", -1, 1.0, None), "a whole number of at least 0"),
]


@pytest.mark.parametrize(
    "attack, field, value, expected",
    [(attack, field, value, expected) for attack, field, values, expected in REFUSED for value in values],
)
def test_what_is_of_another_kind_is_refused_by_attack_field_and_what_is_expected(attack, field, value, expected):
    with pytest.raises(InputError) as raised:
        dataclasses.replace(attack, **{field: value})
    said = str(raised.value)
    assert attack.name in said and field in said and expected in said and "got " in said


def test_every_kind_is_refused_something():
    kinds = {name for name, kind in vars(fields).items() if hasattr(kind, "__metadata__")}
    checked = {kind.description for kind, _ in (fields._kinds(type(a))[f] for a, f, *_ in REFUSED if f != "goal")}
    assert {getattr(fields, name).__metadata__[0].description for name in kinds} == checked


@pytest.mark.parametrize("array", [MASK, np.zeros([1, 2, 3, 1], "float32")])
def test_arrays_are_equal_by_their_contents(array):
    assert fields.Array(array) == fields.Array(array.copy()) == fields.Array(fields.Array(array))
    assert hash(fields.Array(array)) == hash(fields.Array(np.asfortranarray(array)))
    changed = array.copy()
    changed.flat[0] += 1
    assert fields.Array(array) != fields.Array(~array if array.dtype == bool else changed)
    assert fields.Array(array) != fields.Array(array[..., None]) and fields.Array(array) != array.tolist()


def test_an_array_prints_as_its_path_or_briefly(tmp_path):
    path = str(tmp_path / "pixels.npy")
    np.save(path, MASK)
    assert repr(fields.Array(path)) == repr(path) == repr(fields.Array(fields.Array(path)))
    assert fields.Array(path) == fields.Array(MASK)
    assert repr(fields.Array(MASK)).startswith("<bool [2, 3] ")


def test_a_function_of_the_users_own_is_an_objective():
    def own(logits, labels):
        return -objectives.margin(logits, labels)

    assert attacks.PGD(BALL, objective=own).objective is own
