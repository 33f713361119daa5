"""An image registry beside the cluster, for trying what needs one: plain HTTP, images in the cluster's state."""

import json
import os
import subprocess
import time
import urllib.request

from claims_cluster import host, parts, settings
from claims_cluster.progress import Progress
from claims_cluster.shell import Failure, tail

START_TIMEOUT_SECONDS = 20.0


def up(cluster: settings.Cluster, progress: Progress) -> None:
    """Run the registry at `Cluster.registry`, on the cluster's bridge; the cluster has to run and ends it when it ends.

    Raises:
        Failure: it did not build or did not answer; holds the end of its log.
    """
    parts.ensure_program("registry", progress)
    pid_file = cluster.run / "registry.pid"
    if host.process_of(pid_file, "registry"):
        return
    configuration = cluster.state / "registry.json"
    configuration.write_text(
        json.dumps(
            {
                "version": "0.1",
                "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(cluster.state / "registry")}},
                "http": {"addr": cluster.registry},
            }
        )
    )
    log_path = cluster.state / "registry.log"
    with progress.step("start the registry"), log_path.open("ab") as log:
        process = subprocess.Popen(
            [parts.program("registry"), "serve", configuration],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        )
        pid_file.write_text(str(process.pid))
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not _answers(cluster):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise Failure(f"The registry does not answer at {cluster.registry}:\n{tail(log_path, 5)}")
            time.sleep(0.1)


def down(cluster: settings.Cluster) -> None:
    """End the registry if it runs; its images stay until the cluster goes."""
    if pid := host.process_of(cluster.run / "registry.pid", "registry"):
        host.end(pid, 5)


def _answers(cluster: settings.Cluster) -> bool:
    try:
        with urllib.request.urlopen(f"http://{cluster.registry}/v2/", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
