"""What the manifest of a version says of its files."""

import json

import pytest

from export.serving import manifest


@pytest.fixture
def version(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "variables" / "variables.index").write_bytes(b"index")
    manifest.write(tmp_path, model="runs/model.keras")
    return tmp_path


def test_what_was_exported_is_what_the_manifest_says(version):
    contents = json.loads((version / "manifest.json").read_text())
    assert contents["model"] == "runs/model.keras" and contents["files"].keys() == {
        "saved_model.pb",
        "variables/variables.index",
    }
    assert manifest.contradictions(version) == []


def test_changed_missing_and_added_files_are_named(version):
    (version / "saved_model.pb").write_bytes(b"graph!")
    (version / "variables" / "variables.index").unlink()
    (version / "more").write_bytes(b"")
    assert manifest.contradictions(version) == [
        f"{version}/variables/variables.index is missing",
        f"{version}/more is not in the manifest",
        f"{version}/saved_model.pb is not what was exported",
    ]


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"files": []}', "no json"])
def test_a_damaged_manifest_is_said_to_be(version, damage):
    (version / "manifest.json").write_text(damage)
    assert manifest.contradictions(version) == [f"{version}/manifest.json is damaged"]


def test_without_a_manifest_nothing_is_said(tmp_path):
    assert manifest.contradictions(tmp_path) is None
