"""Images that arrive as files: rounding after the attack, attacks through rounding, and adversarial images as files."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import InputError, evaluate, targets
from tfrobust.balls import Linf
from tfrobust.evaluation import pixels

IMAGES = (np.random.default_rng(0).integers(60, 200, (40, 6, 5, 3)) / 255).astype("float32")
NETWORK = classifiers.smooth_network()
LABELS = NETWORK(IMAGES).numpy().argmax(axis=1)
ATTACKS = ["pgd(linf(2.5/255), steps=5)", "square(l2(0.25), queries=40)", "deepfool()"]


def run(attacks=ATTACKS, **changes):
    return evaluate(NETWORK, IMAGES, LABELS, attacks, progress=False, batch_size=40, active_checks=False, **changes)


@pytest.fixture(scope="module")
def on_grid():
    return run(pixels="uint8")


def test_the_attackers_images_are_on_the_grid_inside_the_ball_and_judged_as_they_are(on_grid):
    for outcome in on_grid.outcomes:
        levels = outcome.adversarial * 255
        np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
        np.testing.assert_array_equal(outcome.broken, outcome.broken_uint8)
        if outcome.ball:
            assert pixels.in_ball(outcome.adversarial - IMAGES, outcome.ball).all()
    assert "rounded " not in on_grid.table() and "rounded " in run().table()


def test_an_attack_through_rounding_breaks_no_less_than_one_that_is_rounded_afterwards(on_grid):
    afterwards = run()
    for one, other in zip(on_grid.outcomes[:2], afterwards.outcomes):
        assert one.broken.sum() >= other.broken_uint8.sum()
    assert on_grid.outcomes[1].broken.sum() > afterwards.outcomes[1].broken_uint8.sum()


def test_what_is_not_finite_or_far_out_is_not_broken_in_8_bits_either():
    """An image that leaves the ball or [0, 1] by far is cut to neither."""
    shown = IMAGES + np.float32(0.2) * np.sign(IMAGES - 0.5)
    assert not pixels.fits(pixels.round_to_uint8(shown, IMAGES, None), IMAGES, Linf(5 / 255)).any()
    assert pixels.fits(pixels.round_to_uint8(IMAGES, IMAGES, Linf(5 / 255)), IMAGES, Linf(5 / 255)).all()


@pytest.mark.parametrize("attacks", [ATTACKS[:1], ATTACKS])
def test_saved_images_read_back_fool_the_model_as_often_as_the_report_says(tmp_path, on_grid, attacks):
    found = run(attacks)
    folder = found.save_adversarial(tmp_path)
    folders = sorted(folder.iterdir()) if len(attacks) > 1 else [folder]
    for row, outcome, inside in zip(found.report["attacks"], found.outcomes, folders, strict=True):
        files = sorted(inside.rglob("*.png"))
        images = np.stack([tf.io.decode_png(path.read_bytes()).numpy() for path in files]) / np.float32(255)
        labels = np.array([int(path.parent.name) for path in files])
        robust = (NETWORK(images).numpy().argmax(axis=1) == labels).mean()
        assert len(files) == len(IMAGES) and robust == pytest.approx((~outcome.broken_uint8).mean())
        assert row["robust_accuracy_uint8"] in (None, pytest.approx(robust))


def test_images_that_png_cannot_hold_are_refused(tmp_path):
    images = IMAGES[..., :2]
    network = targets.as_target(lambda batch: np.stack([batch.mean((1, 2, 3)), 1 - batch.mean((1, 2, 3))], axis=1))
    found = evaluate(network, images, np.zeros(40, int), ["square(linf(0.1), queries=2)"], progress=False)
    with pytest.raises(InputError, match="1, 3 or 4 channels"):
        found.save_adversarial(tmp_path)


def test_unknown_pixels_are_refused():
    with pytest.raises(InputError, match="pixels must be float or uint8"):
        run(pixels="int8")
