"""What a study says of a model, against what is known of it."""

import csv
import io

import keras
import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import evaluation, targets
from tfrobust.evaluation import EvaluationConfig, common_corruptions, corruptions, metrics, studies
from tfrobust.evaluation.predictor import Predictor

IMAGES = classifiers.random_images(60, (12, 12, 1))
CONFIG = EvaluationConfig(seed=5, batch_size=20, active_checks=False)
NETWORK = classifiers.smooth_network((12, 12, 1))
LABELS = NETWORK(IMAGES).numpy().argmax(1)
LABELS[:6] = (LABELS[:6] + 1) % 4  # is wrong on a tenth


def rows_of(study):
    return study.rows(targets.as_target(NETWORK), IMAGES, LABELS, CONFIG)


def read(study, rows):
    return list(csv.DictReader(io.StringIO(study.csv(rows))))


@pytest.mark.parametrize(
    "study, positions, changed",
    [
        (studies.Noise((8, 64)), [0, 8, 64], lambda x: corruptions.gaussian_noise(IMAGES, x / 255, 5)),
        (studies.PatchShuffle((2, 4)), [1, 2, 4], lambda x: corruptions.shuffled_patches(IMAGES, x, 5)),
        (studies.Accuracy(), [0], lambda x: IMAGES),
    ],
    ids=["noise", "patch_shuffle", "accuracy"],
)
def test_accuracy_on_changed_images(study, positions, changed):
    rows = rows_of(study)
    assert [row[study.axis] for row in rows] == positions and rows[0]["accuracy"] == 0.9
    for row in rows[1:]:
        expected = (NETWORK(changed(row[study.axis])).numpy().argmax(1) == LABELS).mean()
        assert row["accuracy"] == pytest.approx(expected)
        assert (row["low"], row["high"]) == pytest.approx(metrics.wilson_interval(expected, 60))
    assert "90.00% (79.9% to 95.3%)" in study.table(rows)
    assert float(read(study, rows)[-1]["accuracy"]) == rows[-1]["accuracy"]
    assert study.picture(rows).startswith(b"\x89PNG")


def test_common_corruptions_have_errors_and_their_ratio_to_the_first_models():
    study = studies.CommonCorruptions(("gaussian_noise", "contrast"))
    rows = rows_of(study)
    assert [(row["corruption"], row["severity"]) for row in rows[:3]] == [
        ("none", 0),
        ("gaussian_noise", 1),
        ("gaussian_noise", 2),
    ]
    shown = common_corruptions.corrupted(IMAGES, "contrast", 5, CONFIG.seed)
    assert rows[-1]["accuracy"] == pytest.approx((NETWORK(shown).numpy().argmax(1) == LABELS).mean())
    errors = study.errors(rows)
    of_noise = [row["accuracy"] for row in rows if row["corruption"] == "gaussian_noise"]
    assert len(of_noise) == 5 and errors["gaussian_noise"] == pytest.approx(1 - np.mean(of_noise))
    halves = {name: error / 2 for name, error in errors.items()}
    assert study.mean_error(halves, errors) == pytest.approx(0.5)
    worse = [{**row, "model": "worse", "accuracy": row["accuracy"] / 2} for row in rows]
    table = study.table([*rows, *worse])
    assert "mean corruption error" in table and "mCE, relative to" in table and "100.0%" in table
    assert study.picture([*rows, *worse]).startswith(b"\x89PNG")


def test_the_white_box_table_has_the_papers_columns_and_its_attacks():
    study = studies.WhiteBox(("pgd(linf(0.02), steps=3)", "deepfool()"), reference=0.02)
    (row,) = rows = rows_of(study)
    rho_2, l2 = metrics.deepfool_rho_2(NETWORK, IMAGES, LABELS)
    assert row["rho_2"] == pytest.approx(rho_2.mean(), rel=1e-5) and row["l2"] == pytest.approx(l2.mean(), rel=1e-5)
    assert (row["rho_inf"], row["fgsm_radius_at_half"]) == metrics.fgsm_rho_inf(NETWORK, IMAGES, LABELS)
    shares = [row[f"fgsm at {share} eps_ref"] for share in ("0.2", "0.5", "1")]
    assert shares == metrics.fgsm_accuracies(NETWORK, IMAGES, LABELS, [0.004, 0.01, 0.02]) and shares[0] > shares[2]
    found = evaluation.evaluate(NETWORK, IMAGES, LABELS, study.attacks, config=CONFIG.changed(progress=False))
    assert row["pgd(linf(0.02), steps=3) robust"] == found.report["attacks"][0]["robust_accuracy"]
    assert row["deepfool() l2"] == pytest.approx(found.outcomes[1].distances(evaluation.studies.balls.L2).mean())
    assert row["deepfool() psnr"] > 15 and 0.3 < row["deepfool() pass"] < 1
    table = study.table(rows)
    assert "rho_inf" in table and "deepfool() pass" in table and "low" not in table.replace("below", "")
    assert "radii" not in read(study, rows)[0] and study.picture(rows).startswith(b"\x89PNG")


def test_several_models_are_one_row_of_means_and_deviations():
    study = studies.WhiteBox(("deepfool()",), 0.02)
    (row,) = rows_of(study)
    other = {**row, "model": "b", "rho_2": row["rho_2"] + 0.2, "accuracy": 0.8, "deepfool() l2": None}
    (mean,) = studies.averaged("both", [[row], [other]])
    assert mean["rho_2"] == pytest.approx(row["rho_2"] + 0.1)
    assert mean["rho_2 deviation"] == pytest.approx(0.2 / np.sqrt(2))
    assert mean["accuracy"] == pytest.approx(0.85) and mean["deepfool() l2"] == row["deepfool() l2"]
    assert mean["radii"] == row["radii"] and mean["models"] == 2 and "rho_inf deviation" not in mean
    table = study.table([row, mean])
    assert f"{mean['rho_2']:.4f} ± 0.1414" in table and "85.00% ± 7.07%" in table and "deviation" not in table
    noise = rows_of(studies.Noise((8, 64)))
    assert [row["sigma"] for row in studies.averaged("both", [noise, noise])] == [0, 8, 64]
    with pytest.raises(ValueError):
        studies.averaged("both", [noise, noise[:2]])


def test_confident_images_are_those_that_every_model_is_sure_of_and_right():
    scaled = keras.Sequential([NETWORK, keras.layers.Rescaling(3.0)])
    predictors = [Predictor(targets.as_target(network), 20) for network in (NETWORK, scaled)]
    probabilities = [keras.ops.softmax(network(IMAGES)).numpy() for network in (NETWORK, scaled)]
    sure = np.logical_and.reduce([found[np.arange(60), LABELS] > 0.5 for found in probabilities])
    chosen = studies.confident(predictors, IMAGES, LABELS, 0.5)
    np.testing.assert_array_equal(chosen, np.flatnonzero(sure))
    assert 0 < len(chosen) < 54
