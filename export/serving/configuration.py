"""The files that a TF Serving server is started with, for all models in one folder.

The folder is mounted at /models in every one of them, as TensorFlow's image has it: `models/lenet/1` is served as `lenet`.
"""

import pathlib
import re
from collections.abc import Sequence

from tfrobust import files

IMAGE = "tensorflow/serving:2.21.0"
BATCH_SIZES = (1, 2, 4, 8, 16, 32)  # the server fills a batch up to one of these
_NOTE = "# Written by export.saved_model, anew with every export to this folder."
_MODEL = """\
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
"""
_BATCHING = """\
{note}
# An image waits up to two milliseconds for others; zero answers at once. num_batch_threads: the cores of the server.
max_batch_size {{ value: {largest} }}
batch_timeout_micros {{ value: 2000 }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: 4 }}
{sizes}
"""
_MONITORING = """\
{note}
prometheus_config {{
  enable: true
  path: "/monitoring/prometheus/metrics"
}}
"""
_COMPOSE = """\
{note}
services:
  serving:
    image: {image}
    ports:
      - "8500:8500"  # gRPC
      - "8501:8501"  # REST, and Prometheus at /monitoring/prometheus/metrics
    volumes:
      - "{models}:/models:ro"
      - "{folder}:/config:ro"
    command:
{arguments}
    healthcheck:  # the image has no curl
      test: ["CMD", "bash", "-c", "exec 3<>/dev/tcp/localhost/8501"]
      interval: 10s
      start_period: 60s
    restart: unless-stopped
"""
_KUBERNETES = """\
{note}
# The models lie on a volume claim `models`; the configuration comes from
#   kubectl create configmap tf-serving --from-file=models.config --from-file=batching.config --from-file=monitoring.config
apiVersion: apps/v1
kind: Deployment
metadata:
  name: tf-serving
  labels: {{app: tf-serving}}
spec:
  replicas: 1
  selector:
    matchLabels: {{app: tf-serving}}
  template:
    metadata:
      labels: {{app: tf-serving}}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8501"
        prometheus.io/path: /monitoring/prometheus/metrics
    spec:
      containers:
        - name: serving
          image: {image}
          args:
{arguments}
          ports:
            - {{name: grpc, containerPort: 8500}}
            - {{name: rest, containerPort: 8501}}
          startupProbe:
            tcpSocket: {{port: rest}}
            failureThreshold: 60
            periodSeconds: 5
          readinessProbe:  # a version is AVAILABLE when its warm-up requests are answered
            httpGet: {{path: /v1/models/{first}, port: rest}}
            periodSeconds: 5
          livenessProbe:
            tcpSocket: {{port: grpc}}
            periodSeconds: 10
          volumeMounts:
            - {{name: models, mountPath: /models, readOnly: true}}
            - {{name: config, mountPath: /config, readOnly: true}}
      volumes:
        - name: models
          persistentVolumeClaim: {{claimName: models, readOnly: true}}
        - name: config
          configMap: {{name: tf-serving}}
---
apiVersion: v1
kind: Service
metadata:
  name: tf-serving
spec:
  selector: {{app: tf-serving}}
  ports:
    - {{name: grpc, port: 8500, targetPort: grpc}}
    - {{name: rest, port: 8501, targetPort: rest}}
"""
_ARGUMENTS = (
    "--model_config_file=/config/models.config",
    "--model_config_file_poll_wait_seconds=60",
    "--enable_batching",
    "--batching_parameters_file=/config/batching.config",
    "--monitoring_config_file=/config/monitoring.config",
)


def docker_run(models: pathlib.Path, folder: pathlib.Path) -> str:
    """The line that starts a server.

    Args:
      models: the folder with a folder for each model.
      folder: where `write` has written.
    """
    mounts = f'-v "{models.resolve()}:/models:ro" -v "{folder.resolve()}:/config:ro"'
    return " ".join(["docker run --rm -p 8500:8500 -p 8501:8501", mounts, IMAGE, *_ARGUMENTS])


def write(models: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes models.config, batching.config, monitoring.config, compose.yaml and kubernetes.yaml; each whole or not at all.

    Args:
      models: a folder with a folder for each model, which holds numbered versions.
      folder: where the files go.
    """
    names, note = served(models), _NOTE
    sizes = "\n".join(f"allowed_batch_sizes: {size}" for size in BATCH_SIZES)
    contents = {
        "models.config": f"{note}\nmodel_config_list {{\n{''.join(_MODEL.format(name=name) for name in names)}}}\n",
        "batching.config": _BATCHING.format(note=note, largest=BATCH_SIZES[-1], sizes=sizes),
        "monitoring.config": _MONITORING.format(note=note),
        "compose.yaml": _COMPOSE.format(
            note=note, image=IMAGE, models=models.resolve(), folder=folder.resolve(), arguments=_yaml_list(6)
        ),
        "kubernetes.yaml": _KUBERNETES.format(note=note, image=IMAGE, first=names[0], arguments=_yaml_list(12)),
    }
    for name, text in contents.items():
        with files.written(folder / name) as path:
            path.write_text(text, encoding="utf-8")


def served(models: pathlib.Path) -> Sequence[str]:
    """The names of the models in a folder: of its folders with a numbered version. What no server can name is left out."""
    folders = (entry for entry in models.iterdir() if entry.is_dir() and re.fullmatch(r"[\w.-]+", entry.name))
    return sorted(entry.name for entry in folders if any(version.name.isdecimal() for version in entry.iterdir()))


def _yaml_list(indentation):
    return "\n".join(f'{" " * indentation}- "{argument}"' for argument in _ARGUMENTS)
