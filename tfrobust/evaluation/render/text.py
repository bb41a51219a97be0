"""Tables as text, no wider than `WIDTH`."""

import io
import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence

import rich.box
import rich.console
import rich.table
import rich.text

from tfrobust.evaluation import metrics
from tfrobust.evaluation.columns import shown
from tfrobust.evaluation.render import overview
from tfrobust.evaluation.render.pictures import distinct, short_names

WIDTH = 100  # columns of a terminal
_BOX = rich.box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)  # a line under the heading


def table(evaluations: Sequence, evidence: bool = True) -> str:
    """A table of evaluations with the same attacks, a column for each model; of a single one the numbers of each attack, too.

    Args:
      evaluations: of the same attacks.
      evidence: whether each warning comes with what it was found by, or only with what to do.
    """
    reports, names = [evaluation.report for evaluation in evaluations], short_names(evaluations)
    lines = fitted(list(overview.rows(reports, names)), words=1)
    if len(reports) == 1 and reports[0]["attacks"]:
        lines += ["", *fitted(numbers(reports[0]), words=1)]
    remarks = [line for note in notes(reports) for line in wrapped(note)]
    return "\n".join([*lines, *remarks, *_warnings(reports, evidence)])


def numbers(report: dict) -> list[list[str]]:
    """Lines of cells, the heading first: of each attack what the overview leaves out."""
    columns = shown([report])[1:]
    lines = [[row["attack"], *(column.text(row) for column in columns)] for row in report["attacks"]]
    return [["attack", *(column.heading for column in columns)], *lines]


def _warnings(reports, evidence) -> Iterator[str]:
    """The warnings, each code once, with what to do and, with `evidence`, whom it is about and why."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for names, warning in merged_warnings(reports):
        grouped.setdefault((warning["code"], warning["remedy"]), []).append(f"{names}: {warning['evidence']}")
    for (code, remedy), found in grouped.items():
        yield from wrapped(f"warning {code}: {remedy}")
        for line in found if evidence else ():
            yield from wrapped(line, "  ")


def wrapped(line: str, indent: str = "") -> list[str]:
    """A line as those that it fills within `WIDTH`, the later ones indented."""
    return textwrap.wrap(line, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")


def fitted(rows: Sequence[Sequence[str | dict]], words: int) -> list[str]:
    """Lines of a table whose first row is the heading; what does not fit into `WIDTH` is folded inside its cell.

    Names are folded behind their underscores and the like, where they have some.

    Args:
      rows: of cells, texts or shares as `overview.share` gives them.
      words: how many columns, from the first on, hold words; the others hold numbers.
    """
    grid = rich.table.Table(box=_BOX, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    lines = [[overview.as_text(cell) for cell in row] for row in rows]
    is_wide = sum(max(map(len, column)) + 1 for column in zip(*lines)) > WIDTH + 1
    share = WIDTH // len(lines[0]) - 2 if is_wide else WIDTH
    for place, heading in enumerate(lines[0]):
        folded = _folded(heading, share)
        grid.add_column(
            rich.text.Text(folded),
            justify="left" if place < words else "right",
            overflow="fold",
            min_width=min(max(map(len, folded.split()), default=0), share),
        )
    for line in lines[1:]:
        names, numbers = line[:words], line[words:]
        grid.add_row(*(rich.text.Text(_folded(name, share)) for name in names), *map(rich.text.Text, numbers))
    page = io.StringIO()
    console = rich.console.Console(  # in a notebook it is text, too
        file=page, width=WIDTH, color_system=None, legacy_windows=False, force_jupyter=False
    )
    console.print(grid)
    return [line.rstrip() for line in page.getvalue().splitlines()]


def _folded(name, width):
    """A name whose words are lines no longer than this, where they can be folded behind an underscore and the like."""
    return re.sub(r"\S+", lambda word: "\n".join(_pieces(word.group(), width)), name)


def _pieces(word, width):
    lines = [""]
    for piece in re.split(r"(?<=[_,(])", word):
        if lines[-1] and len(lines[-1] + piece) > width:
            lines.append("")
        lines[-1] += piece
    return lines


def interval(share: float | None, examples: int) -> str:
    """The 95 % interval of a share of so many examples, as tables show it; empty where there is none."""
    if share is None:
        return ""
    low, high = metrics.wilson_interval(share, examples)
    return f"{low:.1%} to {high:.1%}"


def notes(reports: Sequence[dict]) -> Iterator[str]:
    """What has to be known to read the numbers."""
    for report in reports:
        if report["answers"] == "probabilities":
            yield f"note ({report['model']}): it answers with probabilities, and was attacked at their logarithm"
        if report["endpoint"]:
            yield f"note ({report['model']}): {_endpoint(report['endpoint'])}"
        for row in report["attacks"]:
            if "version='fast'" in row["attack"]:
                yield f"note ({report['model']}): {row['attack']} is not the standard AutoAttack, which papers report"
            if row["stages"]:
                left = ", ".join(f"{stage['attack']} {stage['robust_accuracy']:.2%}" for stage in row["stages"])
                yield f"stages of {row['attack']} ({report['model']}), robust after each: {left}"
        if report["clean_wrong_draws"]:
            wrong = report["clean_wrong_draws"]
            yield (
                f"note ({report['model']}): it answers differently each time: judged by most of 20 to {report['draws']} "
                f"draws; {wrong['share']:.2%} ({wrong['low']:.1%} to {wrong['high']:.1%}) of the clean draws are wrong"
            )


def _endpoint(said):
    version = f"version {said['version']}" if said["version"] else "a version that it does not tell"
    without = f", {said['queries_without_answer']} without an answer" if said["queries_without_answer"] else ""
    return f"{version} answered {said['queries']} queries{without}; {said['retries']} requests were made again"


def merged_warnings(reports: Sequence[dict]) -> list[tuple[str, dict]]:
    """Each warning once, with the models that it is about."""
    models: dict[tuple, list[str]] = {}
    for report in reports:
        for warning in report["warnings"]:
            models.setdefault(tuple(warning.items()), []).append(report["model"])
    return [(", ".join(dict.fromkeys(names)), dict(warning)) for warning, names in models.items()]


def warning_line(found: tuple[str, dict]) -> str:
    """One warning as a line."""
    names, warning = found
    return f"warning {warning['code']} ({names}): {warning['evidence']}; {warning['remedy']}"


def transfer_table(transfer) -> str:
    """A table of a `Transfer` with a line for each model and a column for each source and attack."""
    report = transfer.report
    columns = [*itertools.product(report["sources"], report["attacks"])]
    notes = [f"[{number}] {attack} from {source}" for number, (source, attack) in enumerate(columns, start=1)]
    rows = [["model", "clean", *(f"[{number}]" for number in range(1, len(columns) + 1))]]
    for place, (model, name) in enumerate(zip(report["models"], distinct(report["models"]))):
        found = report["defense_rates"][place :: len(report["models"])]
        rates = (f"{row['defense_rate']:.2%} ({interval(row['defense_rate'], row['examples'])})" for row in found)
        rows.append([name, f"{report['clean_accuracy'][model]:.2%}", *rates])
    found = [{"model": warning.pop("model"), "warnings": [warning]} for warning in map(dict, report["warnings"])]
    remarks = [*notes, *map(warning_line, merged_warnings(found))]
    return "\n".join([*fitted(rows, words=1), *(line for remark in remarks for line in wrapped(remark))])
