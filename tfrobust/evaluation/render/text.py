"""Tables as text."""

import itertools
from collections.abc import Iterator, Sequence

from tfrobust.evaluation.columns import SHOWN


def table(evaluations: Sequence) -> str:
    """A text table of one or more evaluations with the same attacks, a line for each attack and model."""
    warnings = [
        f"warning {warning['code']} ({evaluation.report['model']}): {warning['evidence']}; {warning['remedy']}"
        for evaluation in evaluations
        for warning in evaluation.report["warnings"]
    ]
    return "\n".join(line.rstrip() for line in [*aligned(list(cells(evaluations)), left=2), *warnings])


def cells(evaluations: Sequence) -> Iterator[list[str]]:
    """Lines of cells: the first is the heading; attack by attack, one line for each evaluation."""
    blank = [""] * (len(SHOWN) - 1)
    yield ["attack", "model", *(column.heading for column in SHOWN)]
    for evaluation in evaluations:
        yield ["none", evaluation.report["model"], f"{evaluation.report['clean_accuracy']:.2%}", *blank]
    for rows in zip(*(evaluation.report["attacks"] for evaluation in evaluations)):
        for row, evaluation in zip(rows, evaluations):
            name = row["attack"] + (" (transferred)" if row["source"] else "")
            yield [name, evaluation.report["model"], *(column.text(row) for column in SHOWN)]
    for evaluation in evaluations:
        worst = evaluation.report["worst_case"]["robust_accuracy"]
        if worst is not None:
            yield ["worst case", evaluation.report["model"], f"{worst:.2%}", *blank]


def transfer_table(transfer) -> str:
    """A text table of a `Transfer` with a line for each model and a column for each source and attack."""
    report = transfer.report
    columns = [*itertools.product(report["sources"], report["attacks"])]
    rates = transfer.rates().reshape(len(columns), -1)
    notes = [f"[{number}] {attack} from {source}" for number, (source, attack) in enumerate(columns, start=1)]
    rows = [["model", "clean", *(f"[{number}]" for number in range(1, len(columns) + 1))]]
    for model, column in zip(report["models"], rates.T):
        rows.append([model, f"{report['clean_accuracy'][model]:.2%}", *(f"{rate:.2%}" for rate in column)])
    return "\n".join([*aligned(rows, left=1), *notes])


def aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Lines of a text table whose first row is the heading; the first `left` columns hold words, the others numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]
