"""What can be said about strategies without several devices; with them: tests/trainers/strategies_test.py."""

import types

import keras
import pytest
import tensorflow as tf

from tfrobust import InputError, distribution


@pytest.mark.parametrize("kind", ["one", "auto"])
def test_one_device_needs_no_strategy_of_its_own(kind, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert distribution.make_strategy(kind) is tf.distribute.get_strategy()


@pytest.mark.parametrize("text, said", [("", "needs TF_CONFIG, such as"), ("[]", "is not the JSON"), ("{", "is not")])
def test_workers_need_a_cluster(text, said, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=said):
        distribution.make_strategy("multi_worker")


@pytest.mark.parametrize(
    "cluster, task, chief",
    [
        ({"worker": ["a:1", "b:1"]}, ("worker", 0), True),
        ({"worker": ["a:1", "b:1"]}, ("worker", 1), False),
        ({"chief": ["a:1"], "worker": ["b:1"]}, ("chief", 0), True),
        ({"chief": ["a:1"], "worker": ["b:1"]}, ("worker", 0), False),
    ],
)
def test_one_process_of_a_cluster_is_its_chief(cluster, task, chief):
    specification = tf.train.ClusterSpec(cluster)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(specification, "", *task)
    assert distribution.is_chief(types.SimpleNamespace(cluster_resolver=resolver)) == chief


def test_without_a_cluster_every_process_is_a_chief():
    assert distribution.is_chief(tf.distribute.get_strategy())


def test_batch_normalization_is_synchronized_in_members_too():
    member = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    network = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(), member])
    distribution.synchronize(network)
    assert network.layers[0].synchronized and member.layers[0].synchronized
