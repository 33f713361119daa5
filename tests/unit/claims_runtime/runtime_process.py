"""The runtime as a pod runs it: one process with real ports."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub

ROOT = Path(__file__).parents[3]
MODEL = "claim-risk"
START_SECONDS = 60.0


class RuntimeProcess:
    """Starts the runtime on free ports, and ends it as a kubelet does."""

    def __init__(self, package: Path, log_file: Path, **environment: str) -> None:
        self.log_file = log_file
        self.rest_port, self.grpc_port, self.metrics_port = _free_ports()
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(str(ROOT / "runtimes" / name) for name in ("tabular", "contract")),
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_HTTP_PORT": str(self.rest_port),
            "MLSERVER_GRPC_PORT": str(self.grpc_port),
            "MLSERVER_METRICS_PORT": str(self.metrics_port),
            "MLSERVER_MODELS_DIR": str(package),
            "MLSERVER_DEBUG": "false",
            "MLSERVER_MODEL_NAME": MODEL,
            "CLAIMS_NAMESPACE": "claims",
            "CLAIMS_MODEL": MODEL,
            "CLAIMS_REVISION": "abc123",
            "CLAIMS_DRAIN_SECONDS": "0",
            "OMP_NUM_THREADS": "1",
            **environment,
        }

    def __enter__(self) -> "RuntimeProcess":
        self.start()
        self.wait_until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def start(self) -> None:
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "claims_runtime"],
                env=self._environment,
                cwd=self.log_file.parent,
                stdout=log,
                stderr=log,
            )

    def wait_until_ready(self) -> None:
        end = time.monotonic() + START_SECONDS
        while self.get(f"/v2/models/{MODEL}/ready") != 200:
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def log(self) -> str:
        return self.log_file.read_text()

    def get(self, path: str) -> int | None:
        """Return the status, or None where nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except ConnectionError:
            return None
        finally:
            connection.close()

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Return status and JSON of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=30)
        try:
            content = json.dumps(body)
            connection.request("POST", path, content, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def infer(self, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        return self.post(f"/v2/models/{MODEL}/infer", body, headers)

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the runtime's own by name with labels."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=5)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("claims_"))
        return {name: float(value) for name, value in pairs}

    def grpc_infer(self, request: pb.ModelInferRequest, metadata: tuple[tuple[str, str], ...] = ()) -> Any:
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            return GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=30, metadata=metadata)


def grpc_request(body: dict[str, Any]) -> pb.ModelInferRequest:
    """Return the gRPC form of a JSON request."""
    request = pb.ModelInferRequest(model_name=MODEL, id=body.get("id", ""))
    for tensor in body["inputs"]:
        sent = request.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        if tensor["datatype"] == "BYTES":
            sent.contents.bytes_contents.extend(value.encode() for value in tensor["data"])
        else:
            sent.contents.fp64_contents.extend(tensor["data"])
    return request


def outputs_of(answer: Any) -> dict[str, list[Any]]:
    """Return the values of the outputs, by name, of a JSON or gRPC answer."""
    if isinstance(answer, dict):
        return {output["name"]: output["data"] for output in answer["outputs"]}
    return {
        output.name: [value.decode() for value in output.contents.bytes_contents] or list(output.contents.fp64_contents)
        for output in answer.outputs
    }


def _free_ports() -> list[int]:
    sockets = [socket.socket() for _ in range(3)]
    for listener in sockets:
        listener.bind(("127.0.0.1", 0))
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports
