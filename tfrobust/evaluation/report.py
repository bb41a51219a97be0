"""What an evaluation leaves: a table to print, report.json for programs and report.html to look at."""

import base64
import dataclasses
import html
import importlib.metadata
import io
import json
import pathlib
import platform

import numpy as np

from tfrobust import files

_COLUMNS = (  # heading, key in a row of the report, format
    ("robust", "robust_accuracy", "{:.2%}"),
    ("8-bit", "robust_accuracy_uint8", "{:.2%}"),
    ("median l2", "median_l2", "{:.3f}"),
    ("median linf", "median_linf", "{:.4f}"),
    ("rho_2", "rho_2", "{:.4f}"),
    ("queries", "queries", "{:.0f}"),
    ("backward", "backward_passes", "{:.0f}"),
    ("seconds", "seconds", "{:.1f}"),
)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes:
      report: the contents of report.json.
      images, labels, predictions: the clean images, their labels and the model's predictions of them.
      outcomes: an `Outcome` per attack, with the adversarial images.
    """

    report: dict
    images: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    outcomes: list

    def table(self):
        """The report as text."""
        return table([self])

    def save(self, folder):
        """Writes report.json, report.html and, if an attack succeeded, pictures.png. Returns report.html's path."""
        return save(folder, self.report, [self])


def save(folder, report, evaluations):
    """Writes `report` as report.json, and report.html and pictures.png of the evaluations side by side.

    Args:
      folder: is made if need be; each file appears whole or not at all.
      report: what goes into report.json.
      evaluations: with the same attacks, the first being what the others are compared with.

    Returns:
      The path of report.html.
    """
    picture = pictures(evaluations)
    folder = pathlib.Path(folder)
    for name, contents in {
        "pictures.png": picture,
        "report.json": (json.dumps(report, indent=2) + "\n").encode(),
        "report.html": page(evaluations, picture).encode(),
    }.items():
        if contents:
            with files.written(folder / name) as path:
                path.write_bytes(contents)
    return folder / "report.html"


def versions():
    """The versions that a result depends on."""
    packages = ("tfrobust", "tensorflow", "keras", "numpy", "ai-edge-litert")
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def _rows(evaluations):
    """Lines of cells: the first is the heading; attack by attack, one line for each evaluation."""
    yield ["attack", "model", *(heading for heading, _, _ in _COLUMNS)]
    for evaluation in evaluations:
        clean = f"{evaluation.report['clean_accuracy']:.2%}"
        yield ["none", evaluation.report["model"], clean, *[""] * (len(_COLUMNS) - 1)]
    for rows in zip(*(evaluation.report["attacks"] for evaluation in evaluations)):
        for row, evaluation in zip(rows, evaluations):
            cells = ["" if row[key] is None else form.format(row[key]) for _, key, form in _COLUMNS]
            yield [row["attack"] + (" (carried over)" if row["source"] else ""), evaluation.report["model"], *cells]
    for evaluation in evaluations:
        worst = evaluation.report["worst_case"]["robust_accuracy"]
        if worst is not None:
            yield ["worst case", evaluation.report["model"], f"{worst:.2%}", *[""] * (len(_COLUMNS) - 1)]


def table(evaluations):
    """A text table of one or more evaluations with the same attacks, a line for each attack and model."""
    rows = list(_rows(evaluations))
    lines = aligned(rows, left=2)
    warnings = [
        f"warning {warning['code']} ({evaluation.report['model']}): {warning['evidence']}; {warning['remedy']}"
        for evaluation in evaluations
        for warning in evaluation.report["warnings"]
    ]
    return "\n".join(line.rstrip() for line in [*lines, *warnings])


def aligned(rows, left):
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


def pictures(evaluations, count=6):
    """A PNG of clean images and what breaks each evaluation's model on them; None if no attack broke any.

    Shown is the last attack without a radius, whose distances can be compared by eye, else the last attack.
    """
    from matplotlib import figure

    first = evaluations[0]
    names = [outcome.name for outcome in first.outcomes if outcome.ball is None] or [o.name for o in first.outcomes]
    if not names:
        return None
    shown = [next(o for o in evaluation.outcomes if o.name == names[-1]) for evaluation in evaluations]
    broken_in_all = [o.broken & (e.predictions == e.labels) for o, e in zip(shown, evaluations)]
    candidates = np.flatnonzero(np.logical_and.reduce(broken_in_all))
    if not len(candidates):
        return None
    _, one_per_class = np.unique(first.labels[candidates], return_index=True)
    chosen = candidates[np.sort(one_per_class)][:count]
    rows = 1 + len(evaluations)
    canvas = figure.Figure(figsize=(1.5 * len(chosen), 1.85 * rows + 0.5), layout="constrained")
    axes = canvas.subplots(rows, len(chosen), squeeze=False)
    canvas.suptitle(f"What it takes to fool the model: {names[-1]}", fontsize=11)
    for column, index in enumerate(chosen):
        _show(axes[0, column], first.images[index], f"label {first.labels[index]}")
        for row, (outcome, evaluation) in enumerate(zip(shown, evaluations), start=1):
            distance = np.linalg.norm(outcome.adversarial[index] - evaluation.images[index])
            _show(
                axes[row, column],
                outcome.adversarial[index],
                f"seen as {outcome.predictions[index]}\nl2 {distance:.2f}",
            )
    for row, name in enumerate(["clean", *_short_names(evaluations)]):
        axes[row, 0].set_ylabel(name, fontsize=9)
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _short_names(evaluations):
    """The last part of each model's path, or the folder too where that alone would not tell them apart."""
    paths = [pathlib.PurePath(evaluation.report["model"]) for evaluation in evaluations]
    same = len({path.name for path in paths}) < len(paths)
    return [path.parent.name if same and path.parent.name else path.name for path in paths]


def _show(axis, image, title):
    axis.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=8)
    axis.set_xticks([])
    axis.set_yticks([])


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Robustness of {title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1c1e21; }}
table {{ border-collapse: collapse; }} th, td {{ padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: right; }}
th:nth-child(-n+2), td:nth-child(-n+2) {{ text-align: left; }} td:first-child {{ font-family: monospace; }}
.bar {{ background: linear-gradient(90deg, #b7dcc0 var(--share), transparent var(--share)); }}
.warning {{ border-left: 4px solid #d9822b; background: #fff6ea; padding: .5rem 1rem; margin: .7rem 0; }}
img {{ max-width: 100%; }} small {{ color: #666; }}
</style></head><body>
<h1>Robustness of {title}</h1>
<p>{summary}</p>
{table}
{warnings}
{picture}
<p><small>{footer}</small></p>
</body></html>
"""


def page(evaluations, picture=None):
    """The HTML page: one file, no scripts, nothing loaded from elsewhere."""
    report = evaluations[-1].report
    heading, *rows = _rows(evaluations)
    warnings = [
        f'<div class="warning"><b>{html.escape(warning["code"])}</b> {html.escape(evaluation.report["model"])}: '
        f"{html.escape(warning['evidence'])}. <i>{html.escape(warning['remedy'])}.</i></div>"
        for evaluation in evaluations
        for warning in evaluation.report["warnings"]
    ]
    summary = (
        f"{report['examples']} examples of {report['dataset'] or 'the given data'}, seed {report['seed']}. "
        "An example counts as robust if it is classified correctly and the attack finds nothing inside its ball and "
        "[0, 1] that changes that; “8-bit” is after rounding to the 256 values of an image file."
    )
    image = base64.b64encode(picture).decode() if picture else ""
    return _PAGE.format(
        title=html.escape(report["model"]),
        summary=html.escape(summary),
        table=_html_table(heading, rows),
        warnings="\n".join(warnings),
        picture=f'<h2>Pictures</h2><img alt="clean and adversarial images" src="data:image/png;base64,{image}">'
        if image
        else "",
        footer=html.escape(", ".join(f"{name} {version}" for name, version in report["versions"].items() if version)),
    )


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
