"""The files that a server is started with, as the server reads them."""

import shlex

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config import model_server_config_pb2

from export.serving import configuration

FIELD = descriptor_pb2.FieldDescriptorProto


@pytest.fixture
def models(tmp_path):
    """A folder of two models, one without a version, and what belongs to none."""
    for folder in ("lenet/1", "lenet/2", "resnet18/7", "empty/partial", "notes"):
        (tmp_path / "models" / folder).mkdir(parents=True)
    return tmp_path / "models"


@pytest.fixture
def written(models, tmp_path):
    configuration.write(models, tmp_path / "serving")
    return tmp_path / "serving"


def test_every_model_with_a_version_is_served(written):
    found = text_format.Parse((written / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    served = {one.name: one.base_path for one in found.model_config_list.config}
    assert served == {"lenet": "/models/lenet", "resnet18": "/models/resnet18"}


def batching_parameters():
    """TF Serving's message of that name, which no package holds (session_bundle_config.proto)."""
    file = descriptor_pb2.FileDescriptorProto(name="batching.proto", package="batching")
    for name, kind in (("Number", FIELD.TYPE_INT64), ("Parameters", None)):
        message = file.message_type.add(name=name)
        if kind:
            message.field.add(name="value", number=1, type=kind, label=FIELD.LABEL_OPTIONAL)
            continue
        wrapped = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
        for number, field in enumerate(wrapped, start=1):
            message.field.add(
                name=field, number=number, type=FIELD.TYPE_MESSAGE, type_name="Number", label=FIELD.LABEL_OPTIONAL
            )
        message.field.add(name="allowed_batch_sizes", number=6, type=FIELD.TYPE_INT64, label=FIELD.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("batching.Parameters"))()


def test_the_largest_allowed_batch_is_the_largest_there_is(written):
    """The server ends at once where it is not."""
    found = text_format.Parse((written / "batching.config").read_text(), batching_parameters())
    assert found.allowed_batch_sizes[-1] == found.max_batch_size.value == 32
    assert list(found.allowed_batch_sizes) == sorted(found.allowed_batch_sizes)


def test_compose_and_the_line_for_docker_mount_what_the_arguments_name(written, models):
    service = yaml.safe_load((written / "compose.yaml").read_text())["services"]["serving"]
    mounted = {"/models": str(models), "/config": str(written)}
    assert [f"{source}:{target}:ro" for target, source in mounted.items()] == service["volumes"]
    line = shlex.split(configuration.docker_run(models, written))
    assert [line[at + 1] for at, word in enumerate(line) if word == "-v"] == service["volumes"]
    assert line[line.index(service["image"]) + 1 :] == service["command"]
    files = [word.partition("=/config/")[2] for word in service["command"] if "=/config/" in word]
    assert files and all((written / file).is_file() for file in files)


def test_kubernetes_gets_probes_and_the_same_arguments(written):
    deployment, service = yaml.safe_load_all((written / "kubernetes.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/v1/models/lenet", "port": "rest"}
    assert {"livenessProbe", "startupProbe"} < container.keys()
    compose = yaml.safe_load((written / "compose.yaml").read_text())["services"]["serving"]
    assert container["args"] == compose["command"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501} and service["spec"]["selector"] == {"app": "tf-serving"}
