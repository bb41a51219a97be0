"""The manifest of an exported version: what every file's contents hash to, what made it, and how it was verified."""

import hashlib
import json
import pathlib

NAME = "manifest.json"


def write(directory: pathlib.Path, **contents) -> None:
    """Writes `contents` and the SHA-256 of every file of a directory into its manifest."""
    manifest = {**contents, "files": _hashes(directory)}
    (directory / NAME).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def contradictions(directory: pathlib.Path) -> list[str] | None:
    """A line for each file that is not what the manifest says, or not in it; None where there is no manifest."""
    try:
        listed = json.loads((directory / NAME).read_text(encoding="utf-8"))["files"]
        listed = {str(name): str(digest) for name, digest in listed.items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return [f"{directory / NAME} is damaged"]
    found = _hashes(directory)
    kinds = {
        "is missing": listed.keys() - found.keys(),
        "is not in the manifest": found.keys() - listed.keys(),
        "is not what was exported": {name for name in listed.keys() & found.keys() if listed[name] != found[name]},
    }
    return [f"{directory / name} {what}" for what, names in kinds.items() for name in sorted(names)]


def _hashes(directory):
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path != directory / NAME)
    return {path.relative_to(directory).as_posix(): _sha256(path) for path in files}


def _sha256(path):
    with open(path, "rb") as contents:
        return hashlib.file_digest(contents, "sha256").hexdigest()
