"""Attacks written as text, as on a command line: `pgd(linf(8/255), steps=10)`.

The text is parsed into a syntax tree and walked; it is never evaluated. Allowed are the attacks and balls of the
tables below, numbers with + - * /, True, False, None, the names of norms, objectives, goals and versions, and quoted file names.
"""

import ast
import inspect
import operator
from collections.abc import Callable

from tfrobust import balls, objectives
from tfrobust.attacks import steps
from tfrobust.attacks.attack import Attack
from tfrobust.attacks.compose import (
    GOALS,
    Budget,
    Cascade,
    Expectation,
    Pruned,
    Restarts,
    Restricted,
    Targeted,
    auto_attack,
)
from tfrobust.attacks.decision.adversarial_patch import AdversarialPatch
from tfrobust.attacks.decision.boundary import Boundary
from tfrobust.attacks.decision.hop_skip_jump import HopSkipJump
from tfrobust.attacks.decision.spatial import Spatial
from tfrobust.attacks.gradient.adam_pgd import adam_pgd
from tfrobust.attacks.gradient.apgd import apgd, apgd_targeted
from tfrobust.attacks.gradient.carlini_wagner import CarliniWagner
from tfrobust.attacks.gradient.ddn import DDN
from tfrobust.attacks.gradient.deepfool import DeepFool
from tfrobust.attacks.gradient.ead import EAD
from tfrobust.attacks.gradient.fab import FAB
from tfrobust.attacks.gradient.fmn import FMN
from tfrobust.attacks.gradient.jsma import JSMA
from tfrobust.attacks.gradient.pdpgd import PDPGD
from tfrobust.attacks.gradient.pgd import bim, fgsm, mi_fgsm, pgd
from tfrobust.attacks.gradient.sigma_zero import SigmaZero
from tfrobust.attacks.score.one_pixel import OnePixel
from tfrobust.attacks.score.sparse_rs import SparseRS
from tfrobust.attacks.score.spsa import SPSA
from tfrobust.attacks.score.square import Square
from tfrobust.attacks.surviving import Surviving
from tfrobust.errors import InputError, unknown

ATTACKS: dict[str, Callable[..., Attack]] = {
    "fgsm": fgsm,
    "bim": bim,
    "pgd": pgd,
    "mi_fgsm": mi_fgsm,
    "adam_pgd": adam_pgd,
    "deepfool": DeepFool,
    "carlini_wagner": CarliniWagner,
    "ddn": DDN,
    "fmn": FMN,
    "pdpgd": PDPGD,
    "ead": EAD,
    "sigma_zero": SigmaZero,
    "boundary": Boundary,
    "hop_skip_jump": HopSkipJump,
    "spatial": Spatial,
    "adversarial_patch": AdversarialPatch,
    "jsma": JSMA,
    "one_pixel": OnePixel,
    "spsa": SPSA,
    "apgd": apgd,
    "apgd_targeted": apgd_targeted,
    "fab": FAB,
    "square": Square,
    "sparse_rs": SparseRS,
    "auto_attack": auto_attack,
    "cascade": Cascade,
    "restricted": Restricted,
    "expectation": Expectation,
    "restarts": Restarts,
    "pruned": Pruned,
    "targeted": Targeted,
    "budget": Budget,
    "surviving": Surviving,
}
BALLS: dict[str, type[balls.Ball]] = {"linf": balls.Linf, "l2": balls.L2, "l1": balls.L1, "l0": balls.L0}
OPTIMIZERS = {"steepest": steps.Steepest, "momentum": steps.Momentum, "adam": steps.Adam}
OBJECTIVES = {
    function.__name__: function
    for function in (
        objectives.cross_entropy,
        objectives.log_odds,
        objectives.margin,
        objectives.dlr,
        objectives.dlr_or_margin,
    )
}
_CALLABLE: dict[str, Callable] = {**ATTACKS, **BALLS, **OPTIMIZERS}
_NAMES = {
    **BALLS,
    **OBJECTIVES,
    **{name: name for name in (*GOALS, "standard", "plus", "fast", "rand", "best", "last", "pixels", "patch")},
}
_OPERATORS: dict[type[ast.AST], Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}


def parse(text: str) -> Attack:
    """Builds the attack that a text describes.

    Args:
      text: such as `"deepfool(linf)"` or `"pgd(l2(0.5), steps=40, restarts=5)"`.

    Returns:
      The attack.

    Raises:
      InputError: for anything that is not an attack, naming what is wrong and what there is.

    Example:
      >>> parse("fgsm(linf(8/255))").ball.radius
      0.0313...
    """
    tree = _tree(text)
    if isinstance(tree, ast.Name):
        tree = ast.Call(func=tree, args=[], keywords=[])
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)):
        raise _wrong(text, "an attack is written as name(arguments)")
    if tree.func.id not in ATTACKS:
        raise _wrong(text, unknown("attack", tree.func.id, ATTACKS))
    return _value(tree, text)


def parse_ball(text: str) -> balls.Ball:
    """The ball that a text describes, such as `"linf(8/255)"`.

    Raises:
      InputError: for anything that is not a ball.

    Example:
      >>> parse_ball("l2(0.5)").radius
      0.5
    """
    ball = _value(_tree(text), text)
    if not isinstance(ball, balls.Ball):
        raise _wrong(text, f"expected a ball: {', '.join(BALLS)} with a radius, such as linf(8/255)")
    return ball


def _tree(text):
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise _wrong(
            text, f"it does not parse ({error.msg if isinstance(error, SyntaxError) else 'nested too deeply'})"
        ) from error


def _value(node, text):
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.Tuple(elts=parts):
            return tuple(_value(part, text) for part in parts)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_number(operand, text))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            try:
                return _OPERATORS[type(op)](_number(left, text), _number(right, text))
            except ZeroDivisionError as error:
                raise _wrong(text, "it divides by zero") from error
        case ast.Name(id=name):
            if name not in _NAMES:
                raise _wrong(text, unknown("name", name, _NAMES))
            return _NAMES[name]
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            if name not in _CALLABLE:
                raise _wrong(text, unknown("name", name, _CALLABLE))
            return _call(name, [_value(a, text) for a in args], {k.arg: _value(k.value, text) for k in keywords}, text)
    raise _wrong(text, f"{ast.unparse(node)!r} is not a number, a ball or an attack")


def _number(node, text):
    value = _value(node, text)
    if not isinstance(value, (int, float)):
        raise _wrong(text, f"{ast.unparse(node)!r} is not a number")
    return value


def _call(name, args, keywords, text):
    make = _CALLABLE[name]
    taken = inspect.signature(make).parameters
    for keyword in keywords:
        if keyword not in taken:
            raise _wrong(text, f"{name}: {unknown('argument', keyword, taken)}")
    try:
        return make(*args, **keywords)
    except InputError as error:
        raise _wrong(text, str(error)) from error
    except (TypeError, ArithmeticError) as error:
        raise _wrong(text, f"{name}: {str(error).replace('__init__() ', '')}") from error


def _wrong(text, why):
    return InputError(f"attack {text!r}: {why}")
