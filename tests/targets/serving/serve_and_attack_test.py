"""The commands of docs/serve_and_attack.md, as a reader types them; ports are others."""

import contextlib
import html
import json
import pathlib
import re
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.support import pages, programs
from tests.support.servers import environments


def commands():
    """The commands of the page but for the training and the installation, as lists of words."""
    found = pages.commands("serve_and_attack.md", r"(?:python|runs\S+python)")
    return [words for words in found if words[2] not in ("trainers.mnist", "venv")]


def _started(servers, words, port):
    """Starts a server of the page."""
    if words[1] != "-m":
        server = servers.enter_context(
            environments.process(environments.python_with("kserve"), *words[1:], cwd=programs.ROOT)
        )
        environments.wait_for(f"http://127.0.0.1:{port}/v1/models/lenet", server)
    else:
        server = servers.enter_context(environments.process(sys.executable, *words[1:], cwd=programs.ROOT))
        assert int(server.stdout.readline()) == port


@pytest.fixture(scope="module")
def ran(artifacts, tmp_path_factory):
    """What each program printed, and the folder that is called `deploy` on the page."""
    folder, printed = tmp_path_factory.mktemp("deploy"), []
    ports = dict(zip(("8500", "8080"), environments.free_ports(2)))
    replaced = {
        "runs/lenet/model.keras": str(artifacts.model),
        "deploy/": f"{folder}/",
        ".venv/lib/python3.11/site-packages": str(pathlib.Path(tf.__file__).parents[1]),
        **{name: str(port) for name, port in ports.items()},
    }
    with contextlib.ExitStack() as servers:
        for given in commands():
            words = [
                re.sub("|".join(map(re.escape, replaced)), lambda found: replaced[found[0]], word) for word in given
            ]
            if "servers" in given[1] or "servers" in given[2]:
                _started(servers, words, ports["8080" if given[1] != "-m" else "8500"])
            else:
                fewer = ["--noactive_checks"] if words[2] != "export.saved_model" else []
                printed.append(programs.succeed(*words[2:], *fewer))
    return printed, folder


def test_every_command_of_the_page_ends_well(ran):
    printed, folder = ran
    assert len(printed) == 6
    assert {"by_grpc", "by_rest", "by_v2", "transferred", "verify"} <= {path.name for path in folder.iterdir()}


def test_the_three_protocols_give_the_same_rows(ran):
    reports = [json.loads((ran[1] / name / "report.json").read_text()) for name in ("by_grpc", "by_rest", "by_v2")]
    assert len({report["clean_accuracy"] for report in reports}) == 1
    assert len({report["attacks"][0]["robust_accuracy"] for report in reports}) == 1
    assert [report["endpoint"]["protocol"] for report in reports] == ["grpc", "rest", "v2"]
    np.testing.assert_allclose(
        [report["attacks"][0]["median_l2"] for report in reports], reports[0]["attacks"][0]["median_l2"]
    )


def test_the_servers_have_counted_as_many_queries_as_the_reports(ran):
    folder, queries = ran[1], {}
    for name in ("by_grpc", "by_rest", "by_v2", "transferred"):
        queries[name] = json.loads((folder / name / "report.json").read_text())["endpoint"]["queries"]
    verified = json.loads((folder / "verify/report.json").read_text())["artifacts"][1]["endpoint"]["queries"]
    counted = {name: environments.counted(folder / f"{name}_counted") for name in ("grpc", "kserve")}
    assert counted["kserve"] == queries["by_rest"] + queries["by_v2"]
    assert counted["grpc"] == queries["by_grpc"] + queries["transferred"] + verified


def test_verify_has_a_row_for_the_endpoint(ran):
    assert ran[0][-1].startswith("verdict: passed")
    said = html.unescape((ran[1] / "verify" / "report.html").read_text())
    for words in (
        "0.00% of the clean predictions differ",
        "is not made on it: pgd",
        "version 1 answered",
    ):
        assert words in said
