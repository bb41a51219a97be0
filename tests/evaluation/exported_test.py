"""Results as data."""

import csv
import html.parser
import sys
import types

import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import InputError, balls, evaluate
from tfrobust.evaluation import exported

IMAGES = classifiers.random_images(12)


@pytest.fixture(scope="module")
def found():
    network = classifiers.smooth_network()
    labels = np.argmax(network(IMAGES), axis=1)
    labels[0] = (labels[0] + 1) % 4  # misclassified, and so not attacked
    attacks = ["fgsm(linf(0.02))", "deepfool()"]
    return evaluate(network, IMAGES, labels, attacks, dataset="<noise>, of two", progress=False)


@pytest.fixture(scope="module")
def clean_only():
    network = classifiers.smooth_network()
    return evaluate(network, IMAGES, np.argmax(network(IMAGES), axis=1), [], progress=False)


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_row_for_each_attack(found, clean_only, tmp_path):
    fgsm, deepfool = read(found.to_csv(tmp_path / "new" / "attacks.csv"))
    assert fgsm["attack"] == "fgsm(linf(0.02))" and fgsm["norm"] == "linf" and float(fgsm["radius"]) == 0.02
    assert fgsm["dataset"] == "<noise>, of two" and float(fgsm["clean_accuracy"]) == found.report["clean_accuracy"]
    for row, expected in zip((fgsm, deepfool), found.report["attacks"]):
        for name in ("robust_accuracy", "robust_accuracy_uint8", "success_rate", "median_l2", "median_linf", "queries"):
            assert row[name] == ("" if expected[name] is None else str(expected[name]))
    assert "trace" not in fgsm and fgsm["wrong_draws_share"] == ""
    assert read(clean_only.to_csv(tmp_path / "none.csv")) == []
    assert (tmp_path / "none.csv").read_text().startswith("model,dataset,examples,")


def test_the_draws_of_a_random_model_are_three_columns(found):
    draws = {"share": 0.5, "low": 0.4, "high": 0.6}
    row = {**found.report["attacks"][0], "wrong_draws": draws}
    (flat,) = exported.rows({**found.report, "attacks": [row]})
    assert [flat[f"wrong_draws_{name}"] for name in draws] == [0.5, 0.4, 0.6] and "wrong_draws" not in flat


def test_a_data_frame_has_the_rows_of_the_csv(found, monkeypatch):
    made = {}
    pandas = types.ModuleType("pandas")
    pandas.DataFrame = lambda rows, columns: made.update(rows=rows, columns=columns) or "frame"
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    assert found.to_dataframe() == "frame" and made["rows"] == exported.rows(found.report)
    assert made["columns"] == list(made["rows"][0])


def test_without_pandas_the_data_frame_is_refused(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        found.to_dataframe()


def test_a_data_frame_of_pandas_itself(found, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = found.to_dataframe()
    again = pandas.read_csv(found.to_csv(tmp_path / "attacks.csv"))
    assert frame["robust_accuracy"].dropna().tolist() == again["robust_accuracy"].dropna().tolist()


def test_examples_are_the_numbers_of_the_report(found, clean_only, tmp_path):
    with np.load(found.save_examples(tmp_path / "examples.npz")) as arrays:
        numbers = dict(arrays)
    deepfool = found.outcomes[1]
    assert numbers["attack"].tolist() == ["fgsm(linf(0.02))", "deepfool()"] and numbers["broken"].shape == (2, 12)
    np.testing.assert_array_equal(numbers["label"], found.labels)
    np.testing.assert_array_equal(numbers["prediction"], found.predictions)
    assert 1 - numbers["broken"][0].mean() == pytest.approx(found.report["attacks"][0]["robust_accuracy"])
    assert 1 - numbers["broken_uint8"][0].mean() == pytest.approx(found.report["attacks"][0]["robust_accuracy_uint8"])
    assert np.median(numbers["l2"][1][deepfool.hit]) == pytest.approx(found.report["attacks"][1]["median_l2"])
    change = (deepfool.adversarial - IMAGES).reshape(12, -1)
    np.testing.assert_allclose(numbers["linf"][1], np.abs(change).max(axis=1), rtol=1e-6)
    assert (numbers["adversarial_prediction"][1][deepfool.hit] != found.labels[deepfool.hit]).all()
    assert numbers["l2"][0, 0] == 0 and not numbers["attacked"][0, 0] and numbers["broken"][0, 0]
    assert numbers["adversarial_prediction"][0, 0] == found.predictions[0] != found.labels[0]
    with np.load(clean_only.save_examples(tmp_path / "none.npz")) as arrays:
        assert arrays["broken"].shape == (0, 12) and len(arrays["label"]) == 12
    with pytest.raises(InputError, match=r"\.npz"):
        found.save_examples(tmp_path / "examples.csv")


def test_distances_do_not_depend_on_how_many_are_computed_at_once(found, monkeypatch):
    outcome = found.outcomes[1]
    whole = outcome.sizes(balls.L2)
    monkeypatch.setattr("tfrobust.evaluation.storage._AT_ONCE", outcome.adversarial[:5].nbytes)
    np.testing.assert_array_equal(outcome.sizes(balls.L2), whole)


def test_repr_is_one_short_line(found, clean_only):
    worst = found.report["worst_case"][0]["robust_accuracy"]
    clean = found.report["clean_accuracy"]
    name = found.report["model"]
    assert repr(found) == (
        f"<Evaluation of {name}: 12 examples, {clean:.2%} clean, 2 attacks: {worst:.2%} robust in linf(0.02)>"
    )
    assert repr(clean_only).endswith(": 12 examples, 100.00% clean>")


def test_a_notebook_shows_the_table(found):
    shown, opened, cells = found._repr_html_(), [], []

    class Balance(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

        def handle_data(self, data):
            cells.append(data)

    Balance().feed(shown)
    assert not opened and {"fgsm(linf(0.02))", "deepfool()"} <= set(cells)
    assert any(cell.startswith(f"{found.report['clean_accuracy']:.2%} (") for cell in cells)
    assert all(f"<b>{warning['code']}</b>" in shown for warning in found.report["warnings"])
