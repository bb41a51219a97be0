"""Reports side by side, and what has become worse from one to the next."""

import json
import pathlib
from collections.abc import Iterator, Sequence

from tfrobust.errors import InputError

_ROUNDING = 1e-9
_NEEDED = ("model", "dataset", "examples", "clean_accuracy", "attacks", "worst_case", "curves", "slices", "warnings")


def read(path: str | pathlib.Path) -> dict:
    """A report.json, as `Evaluation.save` writes it.

    Raises:
      InputError: for a file that is none.
    """
    try:
        report = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable report.json") from error
    missing = [key for key in _NEEDED if not (isinstance(report, dict) and key in report)]
    if missing:
        raise InputError(f"{path} is no report of an evaluation: it has no {missing[0]!r}")
    return report


def in_common(reports: Sequence[dict]) -> list[dict]:
    """The reports with the attacks, balls and norms that all of them have, in the order of the first.

    Raises:
      InputError: if they have no attack in common.
    """
    attacks = _shared([[row["attack"] for row in report["attacks"]] for report in reports])
    balls = _shared([[worst["ball"] for worst in report["worst_case"]] for report in reports])
    norms = _shared([list(report["curves"]) for report in reports])
    if not attacks and any(report["attacks"] for report in reports):
        raise InputError("the reports have no attack in common")
    return [
        {
            **report,
            "attacks": [_named(report["attacks"], "attack", name) for name in attacks],
            "worst_case": [_named(report["worst_case"], "ball", ball) for ball in balls],
            "curves": {norm: report["curves"][norm] for norm in norms},
        }
        for report in reports
    ]


def left_out(reports: Sequence[dict]) -> list[str]:
    """The attacks that some reports have, and not all: `in_common` leaves them out."""
    lists = [[row["attack"] for row in report["attacks"]] for report in reports]
    shared = _shared(lists)
    return [name for name in dict.fromkeys(name for names in lists for name in names) if name not in shared]


def same_data(reports: Sequence[dict]) -> bool:
    """Whether all reports are of the same images and labels."""
    return len({(report.get("run") or {}).get("data_sha256", index) for index, report in enumerate(reports)}) == 1


def drops(before: dict, after: dict, max_drop: float, min_examples: int = 1) -> Iterator[str]:
    """A line for each accuracy that fell by more than a number: clean, by attack, by ball, and each of these by slice.

    Args:
      before, after: reports with attacks in common: see `in_common`.
      max_drop: how much it may fall, such as 0.01 for one point.
      min_examples: slices with fewer examples are left out.

    Example:
      >>> list(drops(last_release, this_one, max_drop=0.01))
      ['pgd(linf(0.1)): 71.20 % after 74.00 %']
    """
    yield from _fallen("", _accuracies(before), _accuracies(after), max_drop)
    for column, of_before in before["slices"].items():
        of_after = {found["value"]: found for found in after["slices"].get(column, ())}
        for found in of_before:
            other = of_after.get(found["value"])
            if other and min(found["examples"], other["examples"]) >= min_examples:
                yield from _fallen(f"{column} {found['value']}: ", _of_slice(found), _of_slice(other), max_drop)


def _fallen(where, before, after, max_drop):
    for name, share in before.items():
        if name in after and share - after[name] > max_drop + _ROUNDING:
            yield f"{where}{name}: {100 * after[name]:.2f} % after {100 * share:.2f} %"


def _accuracies(report):
    found = {"clean": report["clean_accuracy"]}
    found |= {row["attack"]: row["robust_accuracy"] for row in report["attacks"] if row["robust_accuracy"] is not None}
    return found | {f"worst case in {worst['ball']}": worst["robust_accuracy"] for worst in report["worst_case"]}


def _of_slice(found):
    worst = {f"worst case in {ball}": share for ball, share in found["worst_case"].items()}
    return {"clean": found["clean_accuracy"], **found["robust_accuracy"], **worst}


def _shared(lists):
    return [name for name in lists[0] if all(name in other for other in lists[1:])]


def _named(rows, key, name):
    return next(row for row in rows if row[key] == name)
