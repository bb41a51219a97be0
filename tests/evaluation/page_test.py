"""report.html as a reader opens it, in a browser, and what its parts say."""

import re

import keras
import numpy as np
import pytest

from tests.support import browser, classifiers
from tfrobust import InputError, data, evaluate, evaluation
from tfrobust.data import Split
from tfrobust.evaluation import breakdown

ATTACKS = ["fgsm(linf(0.1))", "pgd(linf(0.1), steps=10)", "deepfool()", "spatial(samples=3)"]


@pytest.fixture(scope="module")
def found():
    """Two networks of digits, beside each other."""
    train, test = data.load("digits", "train"), data.load("digits", "test").take(60)
    made = []
    for units in (16, 48):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Flatten(), keras.layers.Dense(units, activation="relu"), keras.layers.Dense(10)]
        network = keras.Sequential([keras.Input([28, 28, 1]), *layers], name=f"units_{units}")
        network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        network.fit(train.floats(), train.labels, epochs=3, verbose=0)
        cameras = np.where(np.arange(60) % 3 == 0, "rear <left>", "front")
        made.append(
            evaluate(network, test, None, ATTACKS, slices={"camera": cameras}, progress=False, active_checks=False)
        )
    return made


@pytest.fixture(scope="module")
def folder(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    study = evaluation.studies.CommonCorruptions(("fog",))
    rows = [
        {"model": of.report["model"], "corruption": "fog" if severity else "none", "severity": severity}
        | {"accuracy": 1 - severity / 10, "examples": 60}
        for of in found
        for severity in range(6)
    ]
    evaluation.save(folder, found[1].report, found, more=[study.section(rows)])
    return folder


@pytest.mark.parametrize("width, dark", [(360, False), (1280, True)])
def test_the_page_reads_well_on_a_phone_and_on_a_desk_in_light_and_in_the_dark_and_on_paper(
    folder, tmp_path, width, dark
):
    opened = browser.opened(
        folder, tmp_path / "page.png", name="report.html", ready=browser.LOADED, width=width, dark=dark, axe=True
    )
    assert opened["problems"] == [] and opened["missing"] == 0 < opened["pictures"]
    assert opened["sideways"] <= 0 and opened["cut"] <= 0 and opened["paper"] > 10_000
    assert [found for found in opened["violations"] if found["impact"] in ("serious", "critical")] == []
    assert all(url.startswith(("data:", opened["origin"])) for url in opened["requests"])
    shade = np.mean([int(number) for number in re.findall(r"\d+", opened["background"])[:3]])
    assert shade < 60 if dark else shade > 200
    text = (folder / "report.html").read_text()
    assert f'{"srcset" if dark else "src"}="{opened["figure"]}"' in text  # the curves in the page's own style


def test_the_verdict_comes_first_with_its_interval_and_what_to_read_before_relying_on_it(folder, found):
    text = (folder / "report.html").read_text()
    report = found[1].report
    (worst,) = report["worst_case"]
    low, high = evaluation.metrics.wilson_interval(worst["robust_accuracy"], 60)
    said = (
        f"{worst['robust_accuracy']:.1%} ({low:.1%} to {high:.1%}) of the examples withstand every attack in linf(0.1)"
    )
    assert said in text and text.index(said) < text.index('<section id="attacks">')
    codes = list(dict.fromkeys(warning["code"] for warning in report["warnings"]))
    assert f"read the checks: {', '.join(codes)}." in text
    assert all(f"<h3>{code}</h3>" in text for code in codes)


def test_the_table_has_a_column_for_each_model_and_no_share_for_a_distance(folder, found):
    text = (folder / "report.html").read_text()
    assert '<th scope="col">units_16</th><th scope="col">units_48</th>' in text
    median = found[0].report["attacks"][2]["median_l2"]
    assert f"median l2 {median:.3g}" in text


def test_examples_show_what_broke_and_what_withstood_with_how_sure_the_model_is(folder, found):
    text = (folder / "report.html").read_text()
    gallery, outcome = found[1].galleries[0], found[1].outcomes[0]
    row = int(gallery.rows[0])
    assert f"image {row}: {found[1].labels[row]} ({gallery.clean[0]:.0%}) seen as {outcome.predictions[row]}" in text
    assert outcome.broken[gallery.rows].sum() in range(1, 7) and (~outcome.broken[gallery.rows]).sum() in range(0, 4)
    assert len(set(found[1].labels[gallery.rows[:3]])) == 3  # of all classes, not the first ones
    assert (gallery.clean > 0.1).all() and (gallery.clean <= 1).all()


def test_common_corruptions_have_a_picture_and_a_table_behind_the_attacks(folder):
    text = (folder / "report.html").read_text()
    assert text.index('<section id="attacks">') < text.index('<section id="corruptions">') < text.index('id="repeat"')
    section = text[text.index('<section id="corruptions">') :].split("</section>")[0]
    assert '<th scope="row">error, fog</th><td data-label="units_16">30.00%</td>' in section and "image/png" in section


def test_slices_are_the_accuracies_of_their_examples_and_the_weakest_is_named(folder, found):
    report, outcome = found[1].report, found[1].outcomes[0]
    rear = np.arange(60) % 3 == 0
    front_found, rear_found = report["slices"]["camera"]
    assert (rear_found["value"], rear_found["examples"]) == ("rear <left>", 20)
    assert rear_found["robust_accuracy"][outcome.name] == pytest.approx((~outcome.broken[rear]).mean())
    assert rear_found["clean_accuracy"] == pytest.approx(outcome.examples.attacked[rear].mean())
    weakest = min((front_found, rear_found), key=lambda of: of["worst_case"]["linf(0.1)"])
    text = (folder / "report.html").read_text().replace("&lt;", "<").replace("&gt;", ">")
    assert f"Weakest by camera: {weakest['value']}, {weakest['worst_case']['linf(0.1)']:.1%} of" in text
    assert sum(of["examples"] for of in report["slices"]["label"]) == 60


def test_a_few_examples_are_no_worst_slice():
    some = [
        {"examples": n, "worst_case": {"b": a}, "robust_accuracy": {}, "clean_accuracy": 1.0}
        for n, a in ((4, 0.0), (9, 0.5))
    ]
    assert breakdown.worst(some) is None
    assert breakdown.worst([*some, {**some[1], "worst_case": {"b": 0.4}}])["worst_case"]["b"] == 0.4


def test_columns_of_a_data_set_are_slices_unless_others_are_given(tmp_path):
    images = classifiers.random_images(12)
    network = classifiers.smooth_network()
    labels = np.argmax(network(images), axis=1)
    np.savez(tmp_path / "data.npz", images=images, labels=labels, camera=np.arange(12) % 2, mean=np.float32(0.5))
    split = data.load(str(tmp_path / "data.npz"), "test")
    assert set(split.columns) == {"camera"} and len(split.drop(5).columns["camera"]) == 7
    report = evaluate(network, split, None, [], progress=False).report
    assert [found["examples"] for found in report["slices"]["camera"]] == [6, 6]
    assert set(evaluate(network, split, None, [], slices={}, progress=False).report["slices"]) == {"label"}
    with pytest.raises(InputError, match="a value for each of the 12 examples"):
        evaluate(network, images, labels, [], slices={"camera": [1, 2]}, progress=False)


def test_columns_follow_the_split_that_they_are_named_after(tmp_path):
    images = classifiers.random_images(4)
    arrays = {"x_train": images, "y_train": np.arange(4), "x_test": images[:3], "y_test": np.arange(3)}
    np.savez(tmp_path / "data.npz", **arrays, camera_train=np.arange(4), camera_test=[7, 8, 9], note=np.arange(3))
    split = data.load(str(tmp_path / "data.npz"), "test")
    assert isinstance(split, Split) and {name: list(of) for name, of in split.columns.items()} == {"camera": [7, 8, 9]}


def test_it_says_how_it_is_repeated(folder, found):
    text = (folder / "report.html").read_text()
    assert "SHA-256 of the images and labels" in text and "hardware" in text and '<pre tabindex="0">python' in text
