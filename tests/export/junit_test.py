"""The checks as a CI server reads them."""

from xml.etree import ElementTree

from export import junit


def test_suites_cases_and_failures_are_counted():
    checks = {
        "lenet.tflite": {"logits on clean images": [], "flip rate": ["lenet.tflite: flip rate 0.2 > 0.1"]},
        "models/lenet": {"manifest": []},
    }
    root = ElementTree.fromstring(junit.xml(checks))
    assert root.tag == "testsuites" and (root.get("tests"), root.get("failures")) == ("3", "1")
    suites = [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in root]
    assert suites == [("lenet.tflite", "2", "1"), ("models/lenet", "1", "0")]
    failed = [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]
    assert failed == ["flip rate"]
    assert root.find(".//failure").get("message") == "lenet.tflite: flip rate 0.2 > 0.1"
