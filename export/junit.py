"""The checks of artifacts as JUnit XML, which CI servers show."""

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree


def xml(checks: Mapping[str, Mapping[str, Sequence[str]]]) -> bytes:
    """A test suite for each artifact, with a test case for each check.

    Args:
      checks: by artifact and by check: a line for each failure, none where the check holds.
    """
    failed = sum(bool(lines) for cases in checks.values() for lines in cases.values())
    total = sum(map(len, checks.values()))
    root = ElementTree.Element("testsuites", name="artifacts", tests=str(total), failures=str(failed))
    for artifact, cases in checks.items():
        failures = sum(map(bool, cases.values()))
        suite = ElementTree.SubElement(root, "testsuite", name=artifact, tests=str(len(cases)), failures=str(failures))
        for name, lines in cases.items():
            case = ElementTree.SubElement(suite, "testcase", classname=artifact, name=name)
            if lines:
                failure = ElementTree.SubElement(case, "failure", message=lines[0])
                failure.text = "\n".join(lines)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
