"""The HTML page."""

import base64
import html
from collections.abc import Sequence
from typing import NamedTuple

from tfrobust.evaluation.render import text

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Robustness of {title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1c1e21; }}
table {{ border-collapse: collapse; }} th, td {{ padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: right; }}
th:nth-child(-n+2), td:nth-child(-n+2) {{ text-align: left; }} td:first-child {{ font-family: monospace; }}
.bar {{ background: linear-gradient(90deg, #b7dcc0 var(--share), transparent var(--share)); }}
.warning {{ border-left: 4px solid #d9822b; background: #fff6ea; padding: .5rem 1rem; margin: .7rem 0; }}
.verdict {{ border-left: 4px solid #2e7d4f; background: #eef8f1; padding: .5rem 1rem; margin: .7rem 0; }}
.failed {{ border-color: #b3261e; background: #fdeeed; }}
img {{ max-width: 100%; }} small {{ color: #666; }}
</style></head><body>
<h1>Robustness of {title}</h1>
{verdict}
<p>{summary}</p>
{table}
{warnings}
{sections}
{pictures}
<p><small>{footer}</small></p>
</body></html>
"""


class Beside(NamedTuple):
    """What a page shows beside the evaluations.

    Attributes:
      title: what the page is about.
      passed: whether what was to be reached is.
      verdict: lines that say so, above everything.
      tables: below the first one, each with a title: rows of cells, the heading first.
      lines: below these.
    """

    title: str
    passed: bool
    verdict: Sequence[str]
    tables: Sequence[tuple[str, Sequence[Sequence[str]]]] = ()
    lines: Sequence[str] = ()


def page(evaluations: Sequence, pictures: Sequence[tuple[str, bytes | None]] = (), beside: Beside | None = None) -> str:
    """The HTML page: one file, no scripts, nothing loaded from elsewhere.

    Args:
      evaluations: side by side.
      pictures: (title, PNG or None) of each.
      beside: what else it shows.
    """
    report = evaluations[-1].report
    heading, *rows = text.cells(evaluations)
    reports = [evaluation.report for evaluation in evaluations]
    summary = (
        f"{report['examples']} examples of {report['dataset'] or 'the given data'}, seed {report['seed']}. "
        "An example counts as robust if it is classified correctly and the attack finds nothing inside its ball and "
        "[0, 1] that changes that. "
        + (
            "All images of the attacker are in 8 bits, as an image file holds them."
            if report["pixels"] == "uint8"
            else "“Rounded” is what is left of that after rounding to the 256 values of an image file."
        )
    )
    return _PAGE.format(
        title=html.escape(beside.title if beside else report["model"]),
        summary=html.escape(summary),
        table=_html_table(heading, rows),
        warnings="\n".join(_remarks(reports)),
        verdict=_html_verdict(beside) if beside else "",
        sections="\n".join(_html_sections(beside)) if beside else "",
        pictures="\n".join(_html_picture(*picture) for picture in pictures if picture[1]),
        footer=html.escape(", ".join(f"{name} {version}" for name, version in report["versions"].items() if version)),
    )


def fragment(evaluations: Sequence) -> str:
    """The table and the warnings alone, as a notebook shows them."""
    heading, *rows = text.cells(evaluations)
    return "\n".join([_html_table(heading, rows), *_remarks([evaluation.report for evaluation in evaluations])])


def _remarks(reports):
    """What has to be known to read the numbers, and the warnings."""
    notes = [f"<p>{html.escape(note)}.</p>" for note in text.notes(reports)]
    return [*notes, *(_html_warning(*found) for found in text.merged_warnings(reports))]


def _html_verdict(beside):
    lines = "<br>".join(map(html.escape, beside.verdict))
    return f'<div class="verdict{"" if beside.passed else " failed"}">{lines}</div>'


def _html_sections(beside):
    for title, (heading, *rows) in beside.tables:
        yield f"<h2>{html.escape(title)}</h2>\n{_html_table(heading, rows)}"
    if beside.lines:
        yield "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in beside.lines) + "</ul>"


def _html_warning(model, warning):
    code, evidence, remedy = (html.escape(warning[key]) for key in ("code", "evidence", "remedy"))
    return f'<div class="warning"><b>{code}</b> {html.escape(model)}: {evidence}. <i>{remedy}.</i></div>'


def _html_picture(title, picture):
    data = base64.b64encode(picture).decode()
    title = html.escape(title)
    return f'<h2>{title}</h2><img alt="{title}" src="data:image/png;base64,{data}">'


def _html_table(heading, rows):
    lines = ["<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in heading) + "</tr>"]
    for row in rows:
        cells = [
            f'<td class="bar" style="--share: {cell}">{cell}</td>'
            if cell.endswith("%")
            else f"<td>{html.escape(cell)}</td>"
            for cell in row
        ]
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"
