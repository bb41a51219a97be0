"""The HTML page: what the template is given."""

import base64
import functools
import html
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jinja2
import numpy as np

from tfrobust.evaluation import breakdown
from tfrobust.evaluation.columns import COLUMNS, shown
from tfrobust.evaluation.render import overview, text
from tfrobust.evaluation.render.pictures import short_names

_SLICES = 12  # of a column that are shown, the weakest first
_AMPLIFIED = 10  # a difference as it is shown


Tables = Sequence[tuple[str, Sequence[Sequence[str | Mapping[str, float]]]]]  # each with a title


class Beside(NamedTuple):
    """What a page shows beside the evaluations.

    Attributes:
      title: what the page is about.
      passed: whether what was to be reached is.
      verdict: lines that say so, above everything.
      tables: below the first one, each with a title: rows of cells, the heading first.
      lines: below these.
      first: tables of the same form, right below the verdict.
    """

    title: str
    passed: bool
    verdict: Sequence[str]
    tables: Tables = ()
    lines: Sequence[str] = ()
    first: Tables = ()


class Figure(NamedTuple):
    """A picture for light and for dark pages, PNG, and what it shows."""

    light: bytes
    dark: bytes
    alt: str


class Section(NamedTuple):
    """What else was asked of the models, such as how they do on corrupted images.

    Attributes:
      name: of the section in the page's address, one word.
      title: as it stands above it.
      figure: the picture.
      rows: the table, the heading first.
    """

    name: str
    title: str
    figure: Figure
    rows: Sequence[Sequence[str | Mapping[str, float]]]


def page(
    evaluations: Sequence,
    figures: Mapping[str, Figure] | None = None,
    beside: Beside | None = None,
    run: Mapping[str, str | None] | None = None,
    more: Sequence[Section] = (),
) -> str:
    """The HTML page: one file, no scripts, nothing loaded from elsewhere.

    Args:
      evaluations: side by side; the last is what the page is about.
      figures: "curves" and "progress".
      beside: what stands above the evaluations.
      run: how it came about: see `provenance.of_run`.
      more: sections behind the attacks and the slices.
    """
    reports, names = [evaluation.report for evaluation in evaluations], short_names(evaluations)
    report = reports[-1]
    filled = {
        "title": beside.title if beside else report["model"],
        "verdict": _verdict(reports, names, beside),
        "summary": _summary(report),
        "notes": list(text.notes(reports)),
        "overview": list(overview.rows(reports, names)),
        "worst_slices": list(_worst(report)),
        "slices": list(_slices(report)),
        "more": more,
        "warnings": list(_grouped(text.merged_warnings(reports)).items()),
        "first": beside.first if beside else (),
        "tables": beside.tables if beside else (),
        "lines": beside.lines if beside else (),
        "galleries": [gallery for pair in zip(evaluations, names) for gallery in _galleries(*pair, len(names) > 1)],
        "details": list(_details(reports, names)),
        "command": (run or {}).get("command"),
        "facts": list(_facts(report, run or {})),
        **(figures or {}),
    }
    return _template().render(sections=_sections(filled), **filled)


def plain(
    beside: Beside, pictures: Sequence[tuple[str, Figure]] = (), run: Mapping[str, str | None] | None = None
) -> str:
    """A page of a verdict, pictures with their titles, tables and lines: what is no evaluation.

    Args:
      beside: its title and contents; a cell may be a share as `overview.share` gives it.
      pictures: with a title each.
      run: how it came about: see `provenance.of_run`.
    """
    filled = {
        "title": beside.title,
        "verdict": _verdict((), (), beside),
        "pictures": pictures,
        "tables": beside.tables,
        "lines": beside.lines,
        "command": (run or {}).get("command"),
        "facts": list(_facts({"versions": {}}, run or {})),
    }
    return _template().render(sections=[("verdict", "Verdict"), ("repeat", "How to repeat it")], **filled)


def fragment(evaluations: Sequence) -> str:
    """The tables and the warnings alone, as a notebook shows them."""
    reports, names = [evaluation.report for evaluation in evaluations], short_names(evaluations)
    parts = [_html_table(overview.rows(reports, names))]
    parts += [_html_table(text.numbers(report)) for report in reports if report["attacks"]]
    parts += [f"<p>{html.escape(note)}</p>" for note in text.notes(reports)]
    for model, warning in text.merged_warnings(reports):
        said = html.escape(f"{model}: {warning['evidence']}; {warning['remedy']}")
        parts.append(f"<p><b>{warning['code']}</b> {said}</p>")
    return "\n".join(parts)


def _html_table(rows):
    heading, *rows = ([html.escape(overview.as_text(cell)) for cell in row] for row in rows)
    lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in heading)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    return "\n".join(["<table>", *lines, "</table>"])


@functools.cache
def _template():
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfrobust.evaluation.render"),
        autoescape=lambda name: name is not None and name.endswith(".html.jinja"),
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda contents: base64.b64encode(contents).decode()
    return environment.get_template("report.html.jinja")


def _sections(filled):
    known = {
        "verdict": ("Verdict", True),
        "curves": ("By radius", filled.get("curves")),
        "attacks": ("Attacks", True),
        "slices": ("Slices", filled["worst_slices"]),
        **{section.name: (section.title, True) for section in filled["more"]},
        "checks": ("Checks", filled["warnings"]),
        "examples": ("Examples", filled["galleries"]),
        "details": ("Attack by attack", filled["details"]),
        "repeat": ("How to repeat it", True),
    }
    return [(name, title) for name, (title, there) in known.items() if there]


def _verdict(reports, names, beside):
    if beside:
        title, *lines = beside.verdict
        return {
            "state": "passed" if beside.passed else "failed",
            "title": title[:1].upper() + title[1:],
            "lines": lines,
        }
    report, lines = reports[-1], []
    for place, worst in enumerate(report["worst_case"]):
        line = f"{_share(worst['robust_accuracy'], report)} of the examples withstand every attack in {worst['ball']}"
        others = [
            f"{_share(other['worst_case'][place]['robust_accuracy'], other)} of {name}"
            for name, other in zip(names[:-1], reports[:-1])
        ]
        lines.append("; ".join([line, *others]) + ".")
    for row in report["attacks"]:
        if row["robust_accuracy"] is not None and row["radius"] is None:
            lines.append(f"{_share(row['robust_accuracy'], report)} withstand {row['attack']}.")
    lines.append(f"{_share(report['clean_accuracy'], report)} are classified correctly without an attack.")
    codes = list(dict.fromkeys(warning["code"] for warning in report["warnings"]))
    if codes:
        lines.append(f"Do not rely on these numbers before you have read the checks: {', '.join(codes)}.")
    title = "What withstands the attacks" if report["attacks"] else "No attack was made"
    return {"state": "failed" if codes else "passed", "title": title, "lines": lines}


def _share(value, report):
    found = overview.share(value, report)
    return f"{found['share']:.1%} ({found['low']:.1%} to {found['high']:.1%})"


def _summary(report):
    rounded = (
        "All images of the attacker are in 8 bits, as an image file holds them."
        if report["pixels"] == "uint8"
        else "“Rounded” is what is left of that after rounding to the 256 values of an image file."
    )
    return (
        f"{report['examples']} examples of {report['dataset'] or 'the given data'}, seed {report['seed']}. An example counts as "
        "robust if it is classified correctly and the attack finds nothing within its limits and [0, 1] that changes that. "
        f"{rounded}"
    )


def _worst(report) -> Iterator[str]:
    """A line for each column of the data that names its weakest slice."""
    for name, of_column in report["slices"].items():
        found = breakdown.worst(of_column)
        if found is not None:
            yield f"Weakest by {name}: {found['value']}, {breakdown.accuracy(found):.1%} of {found['examples']} examples."


def _slices(report):
    """The table of each column of the data, its weakest values first."""
    for name, of_column in report["slices"].items():
        weakest = sorted(of_column, key=breakdown.accuracy)[:_SLICES]
        shares = [*weakest[0]["worst_case"]] or [*weakest[0]["robust_accuracy"]]
        kind = "worst_case" if weakest[0]["worst_case"] else "robust_accuracy"
        rows = [[name, "examples", "clean", *(f"worst in {key}" if kind == "worst_case" else key for key in shares)]]
        for found in weakest:
            values = [found["clean_accuracy"], *(found[kind][key] for key in shares)]
            rows.append(
                [str(found["value"]), str(found["examples"]), *(overview.share(value, found) for value in values)]
            )
        yield name, rows


def _grouped(warnings):
    """The warnings of each code: whom it is about with the evidence, and what to do."""
    found: dict[str, dict] = {}
    for model, warning in warnings:
        of_code = found.setdefault(warning["code"], {"evidence": [], "remedy": warning["remedy"]})
        of_code["evidence"].append((model, warning["evidence"]))
    return found


def _galleries(evaluation, name, named):
    for outcome, gallery in zip(evaluation.outcomes, evaluation.galleries):
        if len(gallery.rows):
            examples = [_example(evaluation, outcome, gallery, place) for place in range(len(gallery.rows))]
            yield {"attack": outcome.name, "model": name if named else None, "examples": examples}


def _example(evaluation, outcome, gallery, place):
    row = int(gallery.rows[place])
    clean, adversarial = evaluation.clean[row : row + 1][0], outcome.images[row : row + 1][0]
    broken = bool(outcome.broken[row])
    seen, sure = [], lambda values: "" if values is None else f" ({values[place]:.0%})"
    seen.append(f"{evaluation.labels[row]}{sure(gallery.clean)}")
    seen.append(f"{outcome.predictions[row]}{sure(gallery.adversarial)}")
    return {
        "row": row,
        "broken": broken,
        "clean": _png(clean),
        "adversarial": _png(adversarial),
        "difference": _png(0.5 + _AMPLIFIED * (adversarial - clean) / 2.0),
        "caption": f"image {row}: {' seen as '.join(seen)}, {'broken' if broken else 'withstood'}",
    }


def _png(image):
    from PIL import Image

    levels = np.round(np.clip(image, 0.0, 1.0) * 255.0).astype("uint8")
    shown = levels if levels.shape[-1] in (3, 4) else levels.mean(axis=-1).astype("uint8")
    buffer = io.BytesIO()
    Image.fromarray(shown).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _details(reports, names):
    """A table for each attack: what is known of it, line by line, of each model."""
    kept = [column for column in COLUMNS if column.heading]
    visible = {column.key for column in shown(reports)}
    for rows in zip(*(report["attacks"] for report in reports)):
        lines = [
            [column.heading, *(column.text(row) for row in rows)]
            for column in kept
            if column.key in visible and any(row[column.key] is not None for row in rows)
        ]
        yield rows[0]["attack"], [["", *names], *lines]


def _facts(report, run):
    if "seed" in report:
        yield "seed", report["seed"]
    for key, name in (
        ("date", "date"),
        ("hardware", "hardware"),
        ("git_commit", "git commit"),
        ("model_sha256", "SHA-256 of the model"),
        ("data_sha256", "SHA-256 of the images and labels"),
    ):
        if run.get(key):
            yield name, run[key]
    for name, version in report["versions"].items():
        if version:
            yield name, version
