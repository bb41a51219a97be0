"""What a reader sees."""

import hashlib
import html.parser
import json
import struct

import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import evaluate, evaluation

IMAGES = classifiers.random_images(12)


@pytest.fixture(scope="module")
def found():
    network = classifiers.smooth_network()
    labels = np.argmax(network(IMAGES), axis=1)
    return evaluate(network, IMAGES, labels, ["fgsm(linf(0.02))", "deepfool()"], dataset="<noise>", progress=False)


def test_table_has_a_line_for_each_attack_and_the_worst_case(found):
    heading, _, clean, fgsm, deepfool, worst, _, numbers, *_ = found.table().splitlines()
    assert heading.split() == ["attack", found.report["model"]]
    assert clean.split()[0] == "none" and "100.00% (75.7-100.0)" in clean
    robust = found.report["attacks"][0]["robust_accuracy"]
    low, high = evaluation.metrics.wilson_interval(robust, 12)
    assert f"{robust:.2%} ({100 * low:.1f}-{100 * high:.1f})" in fgsm and f"{robust:.2%} (" in worst
    assert f"median l2 {found.report['attacks'][1]['median_l2']:.3f}" in deepfool and worst.startswith("worst case")
    assert f"{found.report['attacks'][1]['rho_2']:.4f}" in found.table() and "rho_2" in numbers


def test_no_line_is_wider_than_100_columns_and_each_warning_stands_once(found):
    said = evaluation.table([found, found, found])
    assert max(map(len, said.splitlines())) <= 100 and said.isascii()
    codes = [warning["code"] for warning in found.report["warnings"]]
    assert codes and all(said.count(f"warning {code}:") == 1 for code in codes)


def test_what_does_not_fit_is_folded_and_nothing_is_lost():
    rows = [["attack", *"abcdef"], ["a_name_of_forty_letters_" * 2, *["median l2 12.345, linf 0.1234"] * 6]]
    lines = evaluation.render.text.fitted(rows, words=1)
    assert max(map(len, lines)) <= 100
    letters = sorted("".join(lines[2:]).replace(" ", ""))
    assert letters == sorted("".join(rows[1]).replace(" ", ""))


def test_names_of_a_wide_table_are_folded_behind_their_underscores():
    rows = [["metrics", *["convnet_adversarially"] * 5], ["fgsm_radius_at_half_way", *["0.1234"] * 5]]
    lines = [line.split() for line in evaluation.render.text.fitted(rows, words=1)]
    assert lines[:2] == [["convnet_"] * 5, ["metrics", *["adversarially"] * 5]]
    assert lines[3:] == [["fgsm_radius_", *["0.1234"] * 5], ["at_half_way"]]
    of_networks = [["box", "nin_reference", *["nin_adversarial_set"] * 4], ["rho_2", *["56.60% (52.2% to 60.9%)"] * 5]]
    of_networks = evaluation.render.text.fitted(of_networks, words=1)
    assert [line.split() for line in of_networks[:3]] == [
        ["nin_"] * 4,
        ["adversarial_"] * 4,
        ["box", "nin_reference", *["set"] * 4],
    ]
    assert max(map(len, of_networks)) <= 100
    narrow = evaluation.render.text.fitted([row[:3] for row in rows], words=1)
    assert narrow[0].split() == rows[0][:3] and narrow[2].split() == rows[1][:3]


def test_save_leaves_whole_files(found, tmp_path):
    page = found.save(tmp_path / "new" / "folder")
    assert sorted(path.name for path in page.parent.iterdir()) == [
        *("curves.png", "pictures.png", "progress.png", "report.html", "report.json")
    ]
    written = json.loads((page.parent / "report.json").read_text())
    run = written.pop("run")
    assert written == found.report
    assert (
        run["data_sha256"]
        == hashlib.sha256(b"float32(12, 6, 5, 3)" + IMAGES.tobytes() + found.labels.tobytes()).hexdigest()
    )
    assert run["command"].startswith("python") and run["model_sha256"] is None  # a network in memory has no file
    contents = (page.parent / "pictures.png").read_bytes()
    width, height = struct.unpack(">II", contents[16:24])
    assert contents.startswith(b"\x89PNG") and width > 300 and height > 300


def test_page_is_one_well_formed_file_that_loads_nothing(found, tmp_path):
    text = found.save(tmp_path).read_text()
    assert "<noise>" not in text and "&lt;noise&gt;" in text
    opened = []

    class Balance(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert not any(value and value.startswith(("http", "//")) for _, value in attributes)
            if tag not in ("meta", "img", "source", "link"):
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Balance().feed(text)
    assert not opened and "data:image/png;base64," in text


def test_baseline_and_model_stand_side_by_side(found, tmp_path):
    text = evaluation.table([found, found])
    assert text.count("fgsm(linf(0.02))") == 1 and text.count("worst case in linf(0.02)") == 1
    assert text.count(f"{found.report['clean_accuracy']:.2%}") >= 2
    page = evaluation.save(tmp_path, {**found.report, "baseline": found.report}, [found, found])
    assert '<th scope="row">worst case in linf(0.02)</th>' in page.read_text()


def test_without_attacks_there_is_no_picture(tmp_path):
    network = classifiers.smooth_network()
    clean = evaluate(network, IMAGES, np.zeros(12, "int64"), [], progress=False)
    clean.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]
    assert clean.report["worst_case"] == [] and clean.report["curves"] == {}
