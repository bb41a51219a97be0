"""What was checked, as CI systems read it: JUnit XML, a test for each check, and SARIF, a line for each failure and warning."""

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree

import tfrobust
from tfrobust import files

Checks = Mapping[
    str, Mapping[str, Sequence[str]]
]  # by model and by check: a line for each failure, none where it holds

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def write(folder: pathlib.Path, checks: Checks, reports: Sequence[dict]) -> None:
    """Writes junit.xml and results.sarif into a folder.

    Args:
      folder: is made if need be.
      checks: what was checked.
      reports: of evaluations, whose warnings SARIF shows, too.
    """
    for name, contents in (("junit.xml", junit(checks)), ("results.sarif", sarif(checks, reports))):
        with files.written(folder / name) as path:
            path.write_bytes(contents)


def junit(checks: Checks) -> bytes:
    """A test suite for each model, with a test case for each check."""
    failed = sum(bool(lines) for cases in checks.values() for lines in cases.values())
    total = sum(map(len, checks.values()))
    root = ElementTree.Element("testsuites", name="tfrobust", tests=str(total), failures=str(failed))
    for model, cases in checks.items():
        failures = sum(map(bool, cases.values()))
        suite = ElementTree.SubElement(root, "testsuite", name=model, tests=str(len(cases)), failures=str(failures))
        for name, lines in cases.items():
            case = ElementTree.SubElement(suite, "testcase", classname=model, name=name)
            if lines:
                failure = ElementTree.SubElement(case, "failure", message=lines[0])
                failure.text = "\n".join(lines)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def sarif(checks: Checks, reports: Sequence[dict]) -> bytes:
    """SARIF 2.1.0: an error for each line of a failed check, a warning for each of the reports', at the model's file."""
    rules: dict[str, dict] = {}
    results = []
    for level, model, rule, line, remedy in (*_errors(checks), *_warnings(reports)):
        rules.setdefault(rule, {"id": rule, "shortDescription": {"text": rule}, "help": {"text": remedy or rule}})
        region = {"startLine": 1}  # of a binary file; who shows results beside lines asks for one
        place = {"physicalLocation": {"artifactLocation": {"uri": model}, "region": region}}
        results.append({"ruleId": rule, "level": level, "message": {"text": line}, "locations": [place]})
    driver = {"name": "tfrobust", "version": tfrobust.__version__, "rules": list(rules.values())}
    return (
        json.dumps(
            {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]},
            indent=2,
        )
        + "\n"
    ).encode()


def _errors(checks) -> Iterator[tuple]:
    for model, cases in checks.items():
        for name, lines in cases.items():
            yield from (("error", model, name, line, None) for line in lines)


def _warnings(reports) -> Iterator[tuple]:
    for report in reports:
        for warning in report["warnings"]:
            line = f"{warning['evidence']}; {warning['remedy']}"
            yield "warning", report["model"], warning["code"], line, warning["remedy"]
