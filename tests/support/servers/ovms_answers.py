"""Asks a gRPC server by `ovmsclient`, a client that is not ours, in an environment of its own (ovmsclient_requirements.txt).

python ovms_answers.py HOST:PORT MODEL IMAGES.npy LOGITS.npy
"""

import sys

import numpy as np
import ovmsclient

host, model, images, logits = sys.argv[1:]
client = ovmsclient.make_grpc_client(host)
np.save(logits, client.predict({"image": np.load(images)}, model)["logits"])
