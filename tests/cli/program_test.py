"""How programs end."""

import pytest

from tests.support import programs


@pytest.mark.parametrize(
    "ending, code, said",
    [
        ("pass", 0, ""),
        ("return 0", 0, ""),
        ("return 1", 1, ""),
        ("raise InputError('radius is\\n  -1')", 2, "error: radius is -1\n"),
    ],
)
def test_exit_code_and_error_line_follow_from_how_main_ends(ending, code, said):
    process = programs.run_code_fresh(
        f"from tfrobust.cli import program\nfrom tfrobust import InputError\ndef main(): {ending}\nprogram.run(main)"
    )
    assert (process.returncode, process.stderr) == (code, said)


def test_a_bug_of_ours_keeps_its_traceback_and_does_not_look_like_a_missed_threshold():
    process = programs.run_code_fresh("from tfrobust.cli import program\nprogram.run(lambda: [].pop())")
    assert process.returncode == 70 and not programs.errors(process)
    assert "Traceback" in process.stderr and "pop from empty list" in process.stderr
