"""Training and evaluating on two devices is the same as on one: two virtual CPUs, in a process of their own."""

import json

import pytest

from tests.support import programs, replicas


@pytest.fixture(scope="module")
def differences():
    return json.loads(programs.succeed("tests.support.replicas").splitlines()[-1])


@pytest.mark.parametrize("defense", replicas.DEFENSES)
def test_two_replicas_give_the_losses_and_steps_of_one(differences, defense):
    """Up to rounding: a millionth of what is reported, and of how far each weight moved."""
    limit = 5e-6 if defense == "quantization_aware" else 1e-6  # fake quantization computes in float32 alone
    assert differences[defense]["logs"] < 1e-6 and differences[defense]["steps"] < limit


def test_an_evaluation_with_all_its_checks_says_the_same_on_two_devices(differences):
    one, two = differences["evaluations"]
    assert one["warnings"] == two["warnings"]
    for row, other in zip(one["attacks"], two["attacks"], strict=True):
        for value, others in zip(row, other, strict=True):
            assert value == others or value == pytest.approx(others, rel=1e-5), (row, other)


def test_attacks_judging_and_checks_compute_on_all_devices(differences):
    """Each device sees half of a batch of 8. Outside of all devices (-1) the model is traced to be looked at, never run."""
    one, two = ({tuple(share) for share in found["shares"]} for found in differences["evaluations"])
    assert (0, 8) in one
    assert {(0, 4), (1, 4)} <= two and all(images == 0 for device, images in two if device == -1)
    assert max(images for _, images in two) == 4
