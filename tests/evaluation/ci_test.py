"""The checks as a CI server reads them."""

import json
from xml.etree import ElementTree

from tfrobust.evaluation import ci

CHECKS = {
    "lenet.tflite": {"logits on clean images": [], "flip rate": ["lenet.tflite: flip rate 0.2 > 0.1"]},
    "models/lenet": {"manifest": []},
}
WARNING = {"code": "N", "evidence": "20 examples", "remedy": "evaluate 1,000 examples or more"}


def test_suites_cases_and_failures_are_counted():
    root = ElementTree.fromstring(ci.junit(CHECKS))
    assert root.tag == "testsuites" and (root.get("tests"), root.get("failures")) == ("3", "1")
    suites = [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in root]
    assert suites == [("lenet.tflite", "2", "1"), ("models/lenet", "1", "0")]
    failed = [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]
    assert failed == ["flip rate"]
    assert root.find(".//failure").get("message") == "lenet.tflite: flip rate 0.2 > 0.1"


def test_sarif_has_an_error_for_each_failure_and_a_warning_for_each_of_the_reports():
    (run,) = json.loads(ci.sarif(CHECKS, [{"model": "models/lenet", "warnings": [WARNING]}]))["runs"]
    found = [
        (
            one["level"],
            one["ruleId"],
            one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            one["message"]["text"],
        )
        for one in run["results"]
    ]
    assert found == [
        ("error", "flip rate", "lenet.tflite", "lenet.tflite: flip rate 0.2 > 0.1"),
        ("warning", "N", "models/lenet", "20 examples; evaluate 1,000 examples or more"),
    ]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["flip rate", "N"]
