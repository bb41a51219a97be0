"""Files appear whole or not at all."""

import concurrent.futures
import sys

import pytest

from tfrobust import InputError, files


def contents(folder):
    """The files below a folder, hidden ones too: relative name -> text."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_written_shows_the_file_only_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "model.keras"
    with files.written(target) as path:
        path.write_text("half")
        assert not target.exists()
        assert path.name.startswith(".") and path.suffix == ".keras"
        path.write_text("whole")
    assert contents(tmp_path) == {"new/model.keras": "whole"}


def test_written_moves_a_folder_in_one_step(tmp_path):
    with files.written(tmp_path / "1") as path:
        (path / "variables").mkdir(parents=True)
        (path / "variables" / "index").write_text("whole")
        assert [entry.name for entry in tmp_path.iterdir() if entry.name.isdigit()] == []
    assert contents(tmp_path) == {"1/variables/index": "whole"}


@pytest.mark.parametrize("ends", [sys.exit, [].pop])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_written_leaves_what_was_there_if_the_block_fails(tmp_path, kind, ends):
    (tmp_path / "target").write_text("before")
    with pytest.raises((SystemExit, IndexError)), files.written(tmp_path / "target") as path:
        if kind == "folder":
            path.mkdir()
        (path / "part" if kind == "folder" else path).write_text("half")
        ends()
    assert contents(tmp_path) == {"target": "before"}


def test_written_replaces_a_file_but_no_folder(tmp_path):
    (tmp_path / "file").write_text("before")
    with files.written(tmp_path / "file") as path:
        path.write_text("after")
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(InputError, match="folder exists and is not a file"),
        files.written(tmp_path / "folder") as path,
    ):
        path.write_text("after")
    assert contents(tmp_path) == {"file": "after"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("before")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=f"{folder} cannot be made"):
            files.writable_folder(folder)


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    def write(number):
        with files.written(tmp_path / f"{number // 2}") as path:
            path.write_text("whole")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(4000)))
    assert contents(tmp_path) == {f"{number}": "whole" for number in range(2000)}
