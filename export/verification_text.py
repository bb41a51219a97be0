"""How what was found of artifacts is shown: the verdict first, then tables, then a line for each thing that is no table."""

import textwrap
from collections.abc import Iterator, Sequence

from export import departure
from export.artifact import Artifact
from export.device import results
from export.verification import Verification
from tfrobust.evaluation import Beside
from tfrobust.evaluation.render import overview, text
from tfrobust.evaluation.render.ci import Checks
from tfrobust.evaluation.render.pictures import short_names


def verdict(checks: Checks) -> list[str]:
    """Whether all checks hold, and a line for each that does not."""
    cases = [lines for of_one in checks.values() for lines in of_one.values()]
    failures = [f"failed: {line}" for lines in cases for line in lines]
    said = "failed" if failures else "passed"
    return [f"verdict: {said}, {sum(not lines for lines in cases)} of {len(cases)} checks hold", *failures]


def lines(found: Verification, everything: bool = True) -> Iterator[str]:
    """What is printed: the evaluations of all images, those of attacks on the artifacts themselves and, unless a page has it,
    the other tables, what the warnings were found by and what else was found.
    """
    yield text.table([found.reference, *(one.native or one.transferred for one in found.artifacts)], everything)
    for title, rows in _tables(found) if everything else _own(found):
        # Of a table of shares, the first column alone is words.
        yield "\n" + "\n".join(
            [*textwrap.wrap(title, text.WIDTH), *text.fitted(rows, words=1 if isinstance(rows[1][1], dict) else 2)]
        )
    for line in remarks(found) if everything else ():
        yield textwrap.fill(line, text.WIDTH, subsequent_indent="  ")


def beside(found: Verification, said: Sequence[str], checks: Checks) -> Beside:
    """What report.html shows beside the evaluations."""
    title = f"what was exported of {found.reference.report['model']}"
    costs = [("What was exported", list(_costs(found, checks)))]
    return Beside(title, len(said) == 1, said, list(_tables(found)), list(remarks(found)), costs)


def _costs(found, checks):
    """A line for each artifact: whether it passes, what it costs, and how far it is from the reference."""
    yield ["artifact", "verdict", "precision", "size", "one image", "predictions that differ", "logits differ by"]
    for one in found.artifacts:
        cases = checks[one.path].values()
        failed = sum(map(bool, cases))
        clean = one.differences.get("clean")
        yield [
            one.path,
            f"failed {failed} of {len(cases)}" if failed else "passed",
            one.precision,
            "" if one.cost.size is None else f"{one.cost.size / 1e6:.2f} MB",
            f"{one.cost.milliseconds:.2f} ms",
            f"{one.flip_rate:.2%}",
            "" if clean is None else f"{clean.largest:.2g}",
        ]


def _tables(found):
    native = [one for one in found.artifacts if one.native is not None and one.transferred.outcomes]
    if native:
        yield "Transferred from the reference", _side_by_side([one.transferred for one in native])
    yield from _own(found)
    on_devices = list(results.table(found.artifacts))
    if on_devices:
        yield "On devices", on_devices
    on_the_way = list(_survival(found.artifacts))
    if on_the_way:
        ways = list(dict.fromkeys(way for _, _, kept in on_the_way for way in kept))
        yield (
            "Of the images that fool an artifact, those that still do on their way to it",
            [
                ["attack", "artifact", "fool it", *ways],
                *(
                    [*key, str(next(iter(kept.values()))["fooling"]), *(_still(kept.get(way)) for way in ways)]
                    for *key, kept in on_the_way
                ),
            ],
        )
    if found.matrix:
        models = list(dict.fromkeys(row["model"] for row in found.matrix))
        rows: dict[tuple[str, str], list[str]] = {}
        for row in found.matrix:
            rows.setdefault((row["attack"], row["source"]), []).append(f"{row['robust_accuracy']:.2%}")
        heading = ["attack", "made on", *(f"[{number}]" for number in range(1, len(models) + 1))]
        names = ", ".join(f"[{number}] {model}" for number, model in enumerate(models, start=1))
        yield (
            f"Robust accuracy by who is attacked and who is shown it: {names}",
            [
                heading,
                *([*key, *cells] for key, cells in rows.items()),
            ],
        )


def _own(found):
    """Attacks on the artifacts themselves, where these were not made on all images anyway."""
    own = [one.own for one in found.artifacts if one.own is not None]
    if own:
        title = f"Attacks made on the artifact itself, the first {own[0].report['examples']} examples"
        yield title, _side_by_side(own)


def _side_by_side(evaluations):
    return list(overview.rows([evaluation.report for evaluation in evaluations], short_names(evaluations)))


def _survival(artifacts):
    """The attack, the artifact and what became of the images that fool it."""
    for one in artifacts:
        for attack, kept in one.survival.items():
            if next(iter(kept.values()))["fooling"]:
                yield attack, one.path, kept


def _still(found):
    return "" if found is None else str(found["still_fooling"])


def remarks(found: Verification) -> Iterator[str]:
    """What else is to be known of each artifact."""
    for one in found.artifacts:
        for line in _lines(one):
            yield f"{one.path}: {line}"


def _lines(one: Artifact):
    yield f"{one.flip_rate:.2%} of the clean predictions differ from the reference's"
    for kind, difference in one.differences.items():
        yield (
            f"on {kind} images its logits differ by {difference.largest:.2g} at most, {difference.relative_rms:.2g} of "
            "their spread"
        )
    if one.changed_weights == []:
        yield "its constants are the reference's, rounded to its precision"
    if one.manifest == []:
        yield "its files are those of its manifest"
    for attack, broken in one.by_image.items():
        yield (
            f"{attack} breaks {broken['own']} made on it and {broken['transferred']} made on the reference; "
            f"{broken['only_own']} and {broken['only_transferred']} of them the other does not"
        )
    for masking in one.masking:
        yield f"in {masking.ball} its own gradients leave {masking.own:.2%}, the reference's {masking.reference:.2%}: {masking.verdict}"
    if one.differential is not None:
        hit = one.differential
        yield (
            f"{hit.attack} finds an image on which it is wrong and the reference right for {hit.successes} of "
            f"{hit.examples} examples; attacks on it alone for {hit.by_attacks}"
        )
    if one.drift is not None:
        yield (
            f"threads, XNNPACK and the batch move its logits by {one.drift.largest:.2g} at most, which decides "
            f"{len(one.drift.undecided)} of {one.drift.examples} predictions"
        )
        yield from (
            f"does not run with {setting.described()}" for setting in one.drift.settings if setting.largest is None
        )
    worst = departure.first(list(one.departures or []))
    if worst is not None:
        yield (
            f"beside the float32 file, {worst.operation} {worst.tensor.split(';')[0]!r} adds the most: its result is off by "
            f"{worst.relative_rms:.2g} of its spread, {worst.growth:.2g} more than what it reads"
        )
    yield from one.remarks
