"""Attacks made on one model and shown to others."""

import keras
import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import InputError, evaluation, targets
from tfrobust.evaluation.render import pictures

IMAGES = classifiers.random_images(40, (1, 2, 1), low=0.3, high=0.7)
ATTACKS = ["fgsm(linf(0.3))"]


def looks_at(pixel, name):
    """Says class 0 where that pixel is brighter than 1/2."""
    dense = keras.layers.Dense(2, name="logits")
    network = keras.Sequential([keras.Input((1, 2, 1)), keras.layers.Flatten(), dense], name=name)
    kernel = np.zeros([2, 2])
    kernel[pixel, 0] = 1
    dense.set_weights([kernel, np.array([-0.5, 0])])
    return network


LEFT, RIGHT = looks_at(0, "left"), looks_at(1, "right")
LABELS = (IMAGES[:, 0, 0, 0] <= 0.5).astype(int)  # the left one is always correct


def run(**arguments):
    return evaluation.evaluate_transfer([LEFT], [LEFT, RIGHT], ATTACKS, IMAGES, LABELS, progress=False, **arguments)


def test_a_model_that_looks_elsewhere_answers_as_before_and_the_source_is_fooled():
    """0.3 moves every left pixel of [0.3, 0.7] over 1/2, and no other."""
    clean = float(((IMAGES[:, 0, 1, 0] <= 0.5) == LABELS).mean())
    result = run()
    np.testing.assert_allclose(result.rates(), [[[0.0, clean]]])
    assert result.report["clean_accuracy"] == {"left": 1.0, "right": pytest.approx(clean)}
    assert [row["source_robust_accuracy"] for row in result.report["defense_rates"]] == [0.0, 0.0]


def test_success_is_relative_to_the_clean_accuracies_of_model_and_source():
    """The source misclassifies the first ten images, which are not attacked: the model is shown them as they are."""
    labels = LABELS.copy()
    labels[:10] = 1 - labels[:10]
    own, clean = (np.argmax(model(IMAGES[:30]), axis=1) == labels[:30] for model in (LEFT, RIGHT))
    result = evaluation.evaluate_transfer([LEFT], [LEFT, RIGHT], ATTACKS, IMAGES, labels, examples=20, progress=False)
    itself, other = result.report["defense_rates"]
    assert itself["accuracy"] == itself["defense_success_rate"] == itself["defense_success_rate_of_source"] == 0
    assert other["accuracy"] == pytest.approx(clean.mean())
    assert other["defense_success_rate"] == pytest.approx(1)
    assert other["defense_success_rate_of_source"] == pytest.approx(clean.sum() / own.sum())


def test_images_are_the_first_that_the_source_classifies_correctly():
    labels = LABELS.copy()
    labels[:10] = 1 - labels[:10]
    result = evaluation.evaluate_transfer([LEFT], [RIGHT], ATTACKS, IMAGES, labels, examples=20, progress=False)
    expected = ((IMAGES[10:30, 0, 1, 0] <= 0.5) == LABELS[10:30]).mean()
    np.testing.assert_allclose(result.rates(), [[[expected]]])
    assert result.report["defense_rates"][0]["examples"] == 20


def test_more_images_than_the_source_classifies_correctly_are_refused():
    with pytest.raises(InputError, match="40 images correctly, fewer than the 41"):
        run(examples=41)


@pytest.mark.parametrize("group", ["sources", "models"])
@pytest.mark.parametrize(
    "unusable, said",
    [
        (lambda: lambda images: np.eye(2)[LEFT(images).numpy().argmax(axis=1)], "labels as one-hot rows"),
        (lambda: classifiers.smooth_network((6, 5, 3), classes=2), "takes images of shape"),
        (lambda: lambda images: np.zeros([len(images), 2, 2]), "two classes"),
    ],
)
def test_what_an_evaluation_refuses_is_refused_as_source_and_as_model(group, unusable, said):
    groups = {"sources": [LEFT], "models": [RIGHT]} | {group: [unusable()]}
    with pytest.raises(InputError, match=said):
        evaluation.evaluate_transfer(*groups.values(), ["square(linf(0.3), queries=2)"], IMAGES, LABELS, progress=False)


def test_an_attack_that_a_source_does_not_allow_is_refused_before_any_is_made():
    function = targets.FunctionTarget(lambda images: LEFT(images).numpy(), name="served")
    with pytest.raises(InputError, match=r"white-box access, but served allows score-based"):
        evaluation.evaluate_transfer([LEFT, function], [RIGHT], ATTACKS, IMAGES, LABELS, progress=False)


def test_the_configuration_is_that_of_evaluate():
    config = evaluation.EvaluationConfig(seed=7, batch_size=9, progress=False)
    result = evaluation.evaluate_transfer([LEFT], [LEFT, RIGHT], ATTACKS, IMAGES, LABELS, config=config)
    assert result.report["seed"] == 7
    np.testing.assert_array_equal(result.rates(), run().rates())
    with pytest.raises(InputError, match="no option 'batches'"):
        run(batches=3)


def test_an_unfooled_source_gives_its_images_unchanged():
    result = evaluation.evaluate_transfer([LEFT], [LEFT], ["fgsm(linf(0.001))"], IMAGES, LABELS, progress=False)
    assert result.rates()[0, 0, 0] > 0.9


def test_batches_do_not_matter():
    np.testing.assert_array_equal(run(batch_size=7).rates(), run(batch_size=40).rates())


def test_the_table_names_models_attacks_and_sources_and_the_picture_is_one():
    result = run()
    assert "fgsm(linf(0.3)) from left" in result.table() and "right" in result.table()
    assert result.picture().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "names, short",
    [
        (["runs/a/model.keras", "runs/b/model.keras"], ["a", "b"]),
        (["runs/a/model.keras", "runs/a/other.keras"], ["model.keras", "other.keras"]),
        (["runs/a/model.keras"], ["a"]),
        (["left", "right"], ["left", "right"]),
        (["runs/a", "runs/a/b"], ["a", "a/b"]),
    ],
)
def test_pictures_show_what_sets_paths_apart(names, short):
    assert pictures.distinct(names) == short
