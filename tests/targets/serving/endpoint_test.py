"""A served model that fails: the numbers are those without faults, or the run ends with one line; and nothing is asked twice."""

import sys

import numpy as np
import pytest

import tfrobust as tfr
from tests.support.servers import rest
from tests.support.terminals import Terminal
from tfrobust import targets
from tfrobust.errors import InputError
from tfrobust.targets import EndpointConfig

IMAGES = np.random.default_rng(0).uniform(size=[24, 4, 4, 1]).astype("float32")
LABELS = rest.logits(IMAGES).argmax(axis=1)
ATTACK = "square(linf(0.1), queries=20)"
PASSING = {
    "busy": rest.status(429, Retry_After="0"),
    "unavailable": rest.status(503),
    "a gateway's time-out": rest.status(504),
    "an error that passes": rest.status(500),
    "closed connection": rest.closed,
    "truncated body": rest.truncated,
    "no JSON": rest.no_json,
    "NaN": rest.nan,
    "a row too few": rest.short,
    "a class too few": rest.narrow,
    "slow": rest.slow(0.3),
}


@pytest.fixture
def server(monkeypatch):
    """A server; pauses are short."""
    monkeypatch.setattr("tfrobust.targets.serving.patience._FIRST_WAIT", 0.001)
    with rest.running() as running:
        yield running


def _evaluated(server, **config):
    target = targets.load(server.address, endpoint=EndpointConfig(images_per_request=8, **config))
    return tfr.evaluate(target, IMAGES, LABELS, ATTACK, progress=False)


@pytest.fixture(scope="module")
def without_faults():
    """The broken images, and the queries that it took."""
    with rest.running() as server:
        found = _evaluated(server)
        assert found.report["endpoint"]["queries"] == server.answered
        return found.outcomes[0].broken, server.answered


def test_an_endpoint_gives_the_rows_of_the_function_behind_it(without_faults):
    local = tfr.evaluate(targets.FunctionTarget(rest.logits), IMAGES, LABELS, ATTACK, progress=False)
    np.testing.assert_array_equal(without_faults[0], local.outcomes[0].broken)
    assert 0 < local.outcomes[0].broken.sum() < len(IMAGES)


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_changes_no_number(server, without_faults, fault):
    broken, queries = without_faults
    server.faults = dict.fromkeys([1, 7, 20, 21], PASSING[fault])
    found = _evaluated(server, timeout=5.0)
    np.testing.assert_array_equal(found.outcomes[0].broken, broken)
    asked = found.report["endpoint"]
    assert asked["queries"] == queries and asked["retries"] == (0 if fault == "slow" else 4)
    assert (
        max(server.asked.values()) <= 3 + (fault in ("NaN", "a row too few", "a class too few")) * 4
    )  # the probe asks thrice
    if fault in ("busy", "unavailable"):
        assert asked["queries_without_answer"] == 0 and server.answered == queries
    if fault in ("truncated body", "no JSON", "NaN"):
        assert asked["queries_without_answer"] + queries == sum(server.requests)


def test_a_slow_answer_is_asked_for_again_after_the_time_out(server, without_faults):
    server.faults = {3: rest.slow(0.6)}
    found = _evaluated(server, timeout=0.3)
    np.testing.assert_array_equal(found.outcomes[0].broken, without_faults[0])
    asked = found.report["endpoint"]
    assert asked["retries"] == 1 and asked["queries_without_answer"] == server.requests[3]


@pytest.mark.parametrize(
    "fault, message",
    [
        (rest.status(503), "does not answer, tried 3 times: 503"),
        (rest.closed, "does not answer, tried 3 times"),
        (rest.nan, "no answer that can be used, tried 3 times: NaN"),
        (rest.short, "an answer of shape"),
        (rest.narrow, "an answer of 3 numbers an image, where there were 4"),
        (rest.status(400), "refuses the request: 400"),
        (rest.status(401), "TFROBUST_TOKEN"),
        (rest.status(413), "--images_per_request"),
        (rest.status(429, Retry_After="3600"), "asks to wait 3600 s"),
        (rest.status(307, Location="http://elsewhere.invalid/v1/models/linear:predict"), "elsewhere.invalid"),
        (rest.status(302, Location="/v1/models/linear:predict"), "sends requests on to"),
    ],
)
def test_a_fault_that_stays_ends_the_run_with_a_line(server, fault, message):
    server.faults = {number: fault for number in range(10, 1000)}
    with pytest.raises(InputError, match=message) as raised:
        _evaluated(server, tries=3)
    assert "\n" not in str(raised.value)


def test_retry_after_is_obeyed(server, monkeypatch):
    waited = []
    monkeypatch.setattr("tfrobust.targets.serving.patience.time.sleep", waited.append)
    server.faults = {2: rest.status(429, Retry_After="7"), 5: rest.status(503, Retry_After="11")}
    _evaluated(server)
    assert {7, 11} <= set(waited)


def test_where_one_request_in_three_fails_for_long_it_is_given_up(server):
    server.faults = {number: rest.status(503) for number in range(0, 100_000, 2)}
    with pytest.raises(InputError, match="fails too often"):
        for seed in range(20):
            tfr.evaluate(
                targets.load(server.address, endpoint=EndpointConfig(images_per_request=1)),
                *(IMAGES, LABELS, ATTACK),
                progress=False,
                seed=seed,
            )


def test_another_version_in_mid_run_is_found(server):
    def change(handler, answer):
        server.version = 2
        return answer

    server.faults = {15: change}
    with pytest.raises(InputError, match="served version 1 at the start and serves 2 now"):
        _evaluated(server)


def test_a_redirect_on_the_same_host_is_followed_with_the_token_and_another_host_never_gets_it(server):
    server.faults = {4: rest.status(307, Location="/v1/models/linear:predict")}
    _evaluated(server, token="secret")
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer secret"}
    with rest.running() as other:
        server.faults = {number: rest.status(307, Location=f"{other.address}:predict") for number in range(10_000)}
        with pytest.raises(InputError, match="sends requests on to"):
            _evaluated(server, token="secret")
        assert not other.headers


def test_a_token_is_never_shown_and_never_sent_in_the_clear():
    config = EndpointConfig(token="secret")
    assert "secret" not in repr(config)
    with pytest.raises(InputError, match="unencrypted") as raised:
        targets.load("http://models.example/v1/models/linear", endpoint=config)
    assert "secret" not in str(raised.value)


def test_the_budget_ends_the_run_before_it_is_exceeded_and_the_log_lets_it_go_on(server, without_faults, tmp_path):
    broken, queries = without_faults
    log = tmp_path / "queries.sqlite"
    with pytest.raises(InputError, match="budget of 150 queries"):
        _evaluated(server, max_queries=150, query_log=log)
    assert 100 < server.answered <= 150
    found = _evaluated(server, max_queries=queries, query_log=log)
    np.testing.assert_array_equal(found.outcomes[0].broken, broken)
    assert server.answered == queries == found.report["endpoint"]["queries"]
    again = _evaluated(server, query_log=log)
    assert server.answered == queries and again.report["endpoint"]["answers_from_log"] > 0


def test_no_more_images_a_second_than_allowed(server, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("tfrobust.targets.serving.flow.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(
        "tfrobust.targets.serving.flow.time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    )
    target = targets.load(server.address, endpoint=EndpointConfig(images_per_request=8, queries_per_second=4.0))
    target.logits(IMAGES)
    assert clock[0] == pytest.approx(4.0)  # 24 images: the last 8 start after 16 / 4 seconds


def test_labels_alone_make_it_decision_based(server, tmp_path):
    server.answer = lambda images: rest.logits(images).argmax(axis=1)
    logged = EndpointConfig(query_log=tmp_path / "log")
    tfr.evaluate(targets.load(server.address, endpoint=logged), IMAGES, LABELS, [], progress=False)
    target = targets.load(server.address, endpoint=logged)  # the log knows its answers
    found = tfr.evaluate(target, IMAGES, LABELS, "hop_skip_jump(linf, steps=1, samples=5)", progress=False)
    assert str(target.access) == "decision-based" and found.report["clean_accuracy"] == 1.0
    with pytest.raises(InputError, match="decision-based attacks only"):
        tfr.evaluate(targets.load(server.address), IMAGES, LABELS, ATTACK, progress=False)


def test_probabilities_are_attacked_through_their_logarithms(server, without_faults):
    def softmax(images):
        powers = np.exp(rest.logits(images).astype("float64"))
        return powers / powers.sum(axis=1, keepdims=True)

    server.answer = softmax
    found = _evaluated(server)
    np.testing.assert_array_equal(found.outcomes[0].broken, without_faults[0])
    assert found.report["answers"] == "probabilities"


def test_rounded_scores_are_reported_before_the_first_attack(server, monkeypatch):
    said = Terminal()
    monkeypatch.setattr(sys, "stderr", said)
    server.answer = lambda images: np.round(rest.logits(images), 2)
    target = targets.load(server.address)
    found = tfr.evaluate(target, IMAGES, LABELS, ATTACK)
    assert "ROUNDED" in [warning["code"] for warning in found.report["warnings"]]
    assert found.report["endpoint"]["probe"]["step"] == pytest.approx(0.01, rel=1e-3)
    assert 0 <= said.getvalue().index("ROUNDED") < said.getvalue().index("square")


def test_answers_that_do_not_repeat_are_reported_and_each_one_counts(server):
    noise = np.random.default_rng(0)
    server.answer = lambda images: rest.logits(images) + noise.normal(size=[len(images), rest.CLASSES], scale=0.05)
    found = _evaluated(server)
    assert "UNREPEATABLE" in [warning["code"] for warning in found.report["warnings"]]
    assert found.report["draws"] > 1 and found.report["endpoint"]["queries"] == server.answered


def test_answers_that_depend_on_the_request_are_reported(server):
    server.answer = lambda images: rest.logits(images) - rest.logits(images).mean(axis=0) * 0.1
    target = targets.load(server.address)
    codes = [
        warning["code"] for warning in tfr.evaluate(target, IMAGES, LABELS, ATTACK, progress=False).report["warnings"]
    ]
    assert "BATCH" in codes


def test_a_server_without_versions_that_begins_to_answer_otherwise_is_found(server, monkeypatch):
    monkeypatch.setattr("tests.support.servers.rest._Handler.do_GET", lambda handler: handler.send({}, 404))

    def change(handler, answer):
        server.answer = lambda images: -rest.logits(images)
        return answer

    server.faults = {25: change}
    with pytest.raises(InputError, match="it is another model"):
        _evaluated(server)
