"""Sets the reports of several evaluations side by side, and refuses one that has become worse than the first.

    python -m trainers.compare runs/v1/report.json runs/v2/report.json --output=runs/compare
    python -m trainers.compare runs/release/report.json runs/candidate/report.json --max_drop=0.01

Prints the table of the attacks that all have in common, and writes report.html to --output, with junit.xml and
results.sarif for CI systems. With --max_drop the exit code is 1 if an accuracy of a later report is lower by more than that
than the first's: clean, under an attack, in a ball, or any of these in a slice of the data, such as a class. An attack of the
first that a later one lacks is refused then.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

import tfrobust as tfr
from tfrobust import files
from tfrobust.cli import program, quiet

MAX_DROP = flags.DEFINE_float(
    "max_drop", None, "How much an accuracy may fall, such as 0.01 for one point.", lower_bound=0.0
)
MIN_EXAMPLES = flags.DEFINE_integer("min_examples", 20, "Slices with fewer examples are not held to it.", lower_bound=1)
OUTPUT = flags.DEFINE_string("output", None, "Folder for report.html, junit.xml and results.sarif.")

_PRINTED = 20  # accuracies that fell; the page has all


def main(paths: Sequence[str]) -> int:
    if len(paths) < 2:
        raise tfr.InputError("name two or more report.json files, that to be compared with first")
    if OUTPUT.value:
        files.check_writable(pathlib.Path(OUTPUT.value))
    quiet.start_tensorflow()
    comparison = tfr.evaluation.comparison
    found = [comparison.read(path) for path in paths]
    reports = comparison.in_common(found)
    same, left_out = comparison.same_data(reports), comparison.left_out(found)
    if MAX_DROP.value is not None and not same:
        raise tfr.InputError("the reports are of different images: whether one has become worse cannot be told")
    unknown = [row["attack"] for row in found[0]["attacks"] if row["attack"] in left_out]
    if MAX_DROP.value is not None and unknown:
        raise tfr.InputError(f"not all reports have {unknown[0]}, which the first has: make it on all models")
    names = tfr.evaluation.distinct([str(pathlib.Path(path).parent) for path in paths])
    reports = [{**report, "model": name} for report, name in zip(reports, names)]
    fallen_by_name = {
        name: list(comparison.drops(reports[0], report, MAX_DROP.value or 0.0, MIN_EXAMPLES.value))
        for name, report in zip(names[1:], reports[1:])
    }
    fallen = [f"{name}: {line}" for name, lines in fallen_by_name.items() for line in lines]
    evaluations = [tfr.evaluation.Evaluation(report, None, None, None, []) for report in reports]
    print(tfr.evaluation.table(evaluations))
    verdict = _verdict(fallen, names[0])
    remarks = [f"Left out, since not all reports have it: {', '.join(left_out)}."] if left_out else []
    print("\n".join([*remarks, *verdict[: _PRINTED + 1]]))
    if len(fallen) > _PRINTED:
        print(f"and {len(fallen) - _PRINTED} more: the page that --output writes has all")
    failed = bool(fallen) and MAX_DROP.value is not None
    if OUTPUT.value:
        remarks += [] if same else ["The reports are of different images."]
        beside = tfr.evaluation.Beside(f"{', '.join(names[1:])} beside {names[0]}", not failed, [*verdict, *remarks])
        figures = tfr.evaluation.drawn(evaluations, ("curves",))
        with files.written(pathlib.Path(OUTPUT.value, "report.html")) as path:
            path.write_text(tfr.evaluation.page(evaluations, figures, beside), encoding="utf-8")
        checks = {name: {f"as good as {names[0]}": lines if failed else []} for name, lines in fallen_by_name.items()}
        tfr.evaluation.ci.write(pathlib.Path(OUTPUT.value), checks, reports[1:])
        print(f"report: {pathlib.Path(OUTPUT.value, 'report.html')}")
    return int(failed)


def _verdict(fallen, first):
    if MAX_DROP.value is None:
        return [f"verdict: {len(fallen)} accuracies are lower than those of {first}", *fallen]
    said = "failed" if fallen else "passed"
    return [f"verdict: {said}, {len(fallen)} accuracies fell by more than {MAX_DROP.value:g} from {first}", *fallen]


if __name__ == "__main__":
    program.run(main, takes_arguments=True)
