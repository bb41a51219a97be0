"""Training on two devices is training on one with the same batches: two virtual CPUs, in a process of their own."""

import json

import pytest

from tests.support import programs, replicas


@pytest.fixture(scope="module")
def differences():
    return json.loads(programs.succeed("tests.support.replicas").splitlines()[-1])


@pytest.mark.parametrize("defense", replicas.DEFENSES)
def test_two_replicas_give_the_losses_and_steps_of_one(differences, defense):
    """Up to rounding: 1e-5 of what is reported, and of how far each weight moved."""
    assert differences[defense]["logs"] < 1e-5 and differences[defense]["steps"] < 1e-5
