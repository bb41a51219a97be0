"""The one table that says most: an attack a line, a model a column, intervals in the cells."""

from collections.abc import Iterator, Sequence

from tfrobust.evaluation import metrics


def rows(reports: Sequence[dict], names: Sequence[str]) -> Iterator[list]:
    """Lines of cells, the heading first.

    Args:
      reports: of several models; a cell is empty where a model was not attacked so.
      names: what they are called.

    Yields:
      Lists of a text, and for each model a share as a dict {"share", "low", "high"}, or a text.
    """
    yield ["attack", *names]
    yield ["none", *(share(report["clean_accuracy"], report) for report in reports)]
    attacks = [{row["attack"]: row for row in report["attacks"]} for report in reports]
    for name in dict.fromkeys(name for rows in attacks for name in rows):
        found = [rows.get(name) for rows in attacks]
        transferred = " (transferred)" if all(row["source"] for row in found if row) else ""
        yield [name + transferred, *(_cell(row, report) if row else "" for row, report in zip(found, reports))]
    worst = [{case["ball"]: case["robust_accuracy"] for case in report["worst_case"]} for report in reports]
    for ball in dict.fromkeys(ball for cases in worst for ball in cases):
        cells = [share(cases[ball], report) if ball in cases else "" for cases, report in zip(worst, reports)]
        yield [f"worst case in {ball}", *cells]


def share(value: float, report: dict) -> dict[str, float]:
    """A share of a report's examples with its 95 % interval."""
    return {"share": value, **metrics.interval(value, report["examples"])}


def _cell(row, report):
    if row["robust_accuracy"] is not None:
        return share(row["robust_accuracy"], report)
    if row["median_l2"] is None:
        return "broke none"
    return f"median l2 {row['median_l2']:.3g}, linf {row['median_linf']:.3g}"


def as_text(cell) -> str:
    """A cell in one line of a terminal."""
    if isinstance(cell, str):
        return cell
    return f"{cell['share']:.2%} ({100 * cell['low']:.1f}-{100 * cell['high']:.1f})"
