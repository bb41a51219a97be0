"""Attacks written as text, as on a command line: `pgd(linf(8/255), steps=10)`.

The text is parsed into a syntax tree and walked; it is never evaluated. Allowed are the attacks and balls of the
tables below, numbers with + - * /, True, False, None, the names of norms, objectives, goals and versions, and quoted file names.
"""

import ast
import difflib
import operator

from tfrobust import balls, objectives
from tfrobust.attacks.apgd import apgd, apgd_targeted
from tfrobust.attacks.auto_attack import VERSIONS, auto_attack
from tfrobust.attacks.boundary import Boundary
from tfrobust.attacks.budget import Budget
from tfrobust.attacks.carlini_wagner import CarliniWagner
from tfrobust.attacks.deepfool import DeepFool
from tfrobust.attacks.fab import FAB
from tfrobust.attacks.hop_skip_jump import HopSkipJump
from tfrobust.attacks.jsma import JSMA
from tfrobust.attacks.one_pixel import OnePixel
from tfrobust.attacks.pgd import bim, fgsm, mi_fgsm, pgd
from tfrobust.attacks.spsa import SPSA
from tfrobust.attacks.square import Square
from tfrobust.attacks.wrappers import GOALS, Expectation, Restarts, Restricted, Targeted
from tfrobust.errors import InputError

ATTACKS = {
    "fgsm": fgsm,
    "bim": bim,
    "pgd": pgd,
    "mi_fgsm": mi_fgsm,
    "deepfool": DeepFool,
    "carlini_wagner": CarliniWagner,
    "boundary": Boundary,
    "hop_skip_jump": HopSkipJump,
    "jsma": JSMA,
    "one_pixel": OnePixel,
    "spsa": SPSA,
    "apgd": apgd,
    "apgd_targeted": apgd_targeted,
    "fab": FAB,
    "square": Square,
    "auto_attack": auto_attack,
    "restricted": Restricted,
    "expectation": Expectation,
    "restarts": Restarts,
    "targeted": Targeted,
    "budget": Budget,
}
BALLS = {"linf": balls.Linf, "l2": balls.L2, "l1": balls.L1, "l0": balls.L0}
OBJECTIVES = {"cross_entropy": objectives.cross_entropy, "margin": objectives.margin, "dlr": objectives.dlr}
_CALLABLE = {**ATTACKS, **BALLS}
_NAMES = {**BALLS, **OBJECTIVES, **{name: name for name in (*GOALS, *VERSIONS)}}
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}


def parse(text):
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
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise _wrong(text, f"it does not parse ({getattr(error, 'msg', 'nested too deeply')})") from error
    if isinstance(tree, ast.Name):
        tree = ast.Call(func=tree, args=[], keywords=[])
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)):
        raise _wrong(text, "an attack is written as name(arguments)")
    if tree.func.id not in ATTACKS:
        raise _wrong(text, _unknown("attack", tree.func.id, ATTACKS))
    return _value(tree, text)


def _value(node, text):
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_number(operand, text))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            try:
                return _OPERATORS[type(op)](_number(left, text), _number(right, text))
            except ZeroDivisionError as error:
                raise _wrong(text, "it divides by zero") from error
        case ast.Name(id=name):
            if name not in _NAMES:
                raise _wrong(text, _unknown("name", name, _NAMES))
            return _NAMES[name]
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            if name not in _CALLABLE:
                raise _wrong(text, _unknown("name", name, _CALLABLE))
            return _call(name, [_value(a, text) for a in args], {k.arg: _value(k.value, text) for k in keywords}, text)
    raise _wrong(text, f"{ast.unparse(node)!r} is not a number, a ball or an attack")


def _number(node, text):
    value = _value(node, text)
    if not isinstance(value, (int, float)):
        raise _wrong(text, f"{ast.unparse(node)!r} is not a number")
    return value


def _call(name, args, keywords, text):
    try:
        return _CALLABLE[name](*args, **keywords)
    except InputError as error:
        raise _wrong(text, str(error)) from error
    except (TypeError, AttributeError, ArithmeticError) as error:
        raise _wrong(text, f"{name}: {str(error).replace('__init__() ', '')}") from error


def _unknown(what, name, known):
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown {what} {name!r}{hint} (there are: {', '.join(sorted(known))})"


def _wrong(text, why):
    return InputError(f"attack {text!r}: {why}")
