"""A kube-apiserver with its etcd and nothing else, for tests: as many as wanted, each on ports of its own."""

import contextlib
import dataclasses
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from claims_cluster import components, parts, pki
from claims_cluster.progress import Progress
from claims_cluster.shell import Failure, run, tail

START_TIMEOUT_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """A running API server."""

    kubeconfig: Path
    address: str
    directory: Path

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run kubectl as its administrator."""
        return run(parts.program("kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments, stdin=stdin)


@contextlib.contextmanager
def running(directory: Path) -> Iterator[ControlPlane]:
    """Run etcd and a kube-apiserver whose data lie in ``directory``; both end with the block.

    Raises:
        Failure: it did not answer within a minute; holds the end of its log.
    """
    parts.ensure_program("kube", Progress())
    api_port, client_port, peer_port = _free_ports(3)
    commands = _commands(directory, api_port, client_port, peer_port)
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(_process(command, directory)) for command in commands]
        _wait(directory, api_port, processes)
        yield ControlPlane(
            kubeconfig=directory / "kubeconfig", address=f"https://127.0.0.1:{api_port}", directory=directory
        )


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _commands(directory: Path, api_port: int, client_port: int, peer_port: int) -> list[list[str]]:
    authority = pki.Authority(directory / "pki")
    certificate, key = authority.issue(
        "apiserver", "kube-apiserver", alternative_names=("IP:127.0.0.1", "DNS:localhost", "DNS:kubernetes")
    )
    admin, admin_key = authority.issue("admin", "test-admin", organisation="system:masters")
    pki.write_kubeconfig(
        directory / "kubeconfig",
        server=f"https://127.0.0.1:{api_port}",
        context="test",
        authority=authority.certificate,
        certificate=admin,
        key=admin_key,
    )
    accounts = directory / "service-accounts.key"
    run("openssl", "genrsa", "-out", accounts, "2048")
    return [
        components.etcd_command(directory / "etcd", client_port=client_port, peer_port=peer_port),
        [
            str(parts.program("kube-apiserver")),
            f"--etcd-servers=http://127.0.0.1:{client_port}",
            f"--secure-port={api_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={accounts}",
            f"--service-account-signing-key-file={accounts}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={authority.certificate}",
            "--disable-admission-plugins=ServiceAccount",
        ],
    ]


@contextlib.contextmanager
def _process(command: list[str], directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / f"{Path(command[0]).name}.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _wait(directory: Path, api_port: int, processes: list[subprocess.Popen[bytes]]) -> None:
    context = ssl.create_default_context(cafile=str(directory / "pki" / "ca.crt"))
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while True:
        with contextlib.suppress(OSError):
            url = f"https://127.0.0.1:{api_port}/readyz"
            with urllib.request.urlopen(url, context=context, timeout=2) as answer:
                if answer.status == 200:
                    return
        ended = any(process.poll() is not None for process in processes)
        if ended or time.monotonic() > deadline:
            raise Failure(f"The API server did not start:\n{tail(directory / 'kube-apiserver.log', 10)}")
        time.sleep(0.1)
