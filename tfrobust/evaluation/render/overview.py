"""The one table that says most: an attack a line, a model a column, intervals in the cells."""

from collections.abc import Iterator, Sequence

from tfrobust.evaluation import metrics


def rows(reports: Sequence[dict], names: Sequence[str]) -> Iterator[list]:
    """Lines of cells, the heading first.

    Args:
      reports: of several models, with the same attacks.
      names: what they are called.

    Yields:
      Lists of a text, and for each model a share as a dict {"share", "low", "high"}, or a text.
    """
    yield ["attack", *names]
    yield ["none", *(share(report["clean_accuracy"], report) for report in reports)]
    for attacks in zip(*(report["attacks"] for report in reports)):
        transferred = " (transferred)" if all(row["source"] for row in attacks) else ""
        yield [attacks[0]["attack"] + transferred, *map(_cell, attacks, reports)]
    for balls in zip(*(report["worst_case"] for report in reports)):
        shares = [share(worst["robust_accuracy"], report) for worst, report in zip(balls, reports)]
        yield [f"worst case in {balls[0]['ball']}", *shares]


def share(value: float, report: dict) -> dict[str, float]:
    """A share of a report's examples with its 95 % interval."""
    return {"share": value, **metrics.interval(value, report["examples"])}


def _cell(row, report):
    if row["robust_accuracy"] is not None:
        return share(row["robust_accuracy"], report)
    if row["median_l2"] is None:
        return "broke none"
    return f"median l2 {row['median_l2']:.3f}, linf {row['median_linf']:.4f}"


def as_text(cell) -> str:
    """A cell in one line of a terminal."""
    if isinstance(cell, str):
        return cell
    return f"{cell['share']:.2%} ({cell['low']:.1%} to {cell['high']:.1%})"
