"""Certificates and kubeconfigs of the cluster, made with openssl and kept as long as the cluster's state."""

import base64
import json
from pathlib import Path

from claims_cluster import settings
from claims_cluster.shell import run

VALID_DAYS = "3650"


class Authority:
    """A certificate authority in a folder; what it signs lies beside it."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        """Make the authority unless it is there."""
        self.folder = folder
        self.certificate = folder / f"{name}.crt"
        self._key = folder / f"{name}.key"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.certificate.exists():
            run(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-keyout",
                self._key,
                "-out",
                self.certificate,
                "-days",
                VALID_DAYS,
                "-subj",
                f"/CN=claims-{name}",
            )

    def issue(
        self, name: str, common_name: str, *, organisation: str = "", alternative_names: tuple[str, ...] = ()
    ) -> tuple[Path, Path]:
        """Return (certificate, key) called ``name``, signed now unless it is there.

        ``alternative_names`` are written as openssl takes them, for example ``DNS:kubernetes`` or ``IP:10.96.0.1``.
        """
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if certificate.exists():
            return certificate, key
        subject = (f"/O={organisation}" if organisation else "") + f"/CN={common_name}"
        request = self.folder / f"{name}.csr"
        run(
            "openssl",
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            key,
            "-out",
            request,
            "-subj",
            subject,
        )
        extensions = "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n"
        if alternative_names:
            extensions += "subjectAltName=" + ",".join(alternative_names) + "\n"
        extension_file = self.folder / f"{name}.ext"
        extension_file.write_text(extensions)
        run(
            "openssl",
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            self.certificate,
            "-CAkey",
            self._key,
            "-CAcreateserial",
            "-out",
            certificate,
            "-days",
            VALID_DAYS,
            "-extfile",
            extension_file,
        )
        return certificate, key


def write_kubeconfig(target: Path, *, server: str, context: str, authority: Path, certificate: Path, key: Path) -> None:
    """Write a kubeconfig (JSON is YAML) that holds everything, readable by its owner only."""

    def encoded(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [
            {"name": context, "cluster": {"server": server, "certificate-authority-data": encoded(authority)}}
        ],
        "users": [
            {
                "name": context,
                "user": {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)},
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
    }
    target.touch(mode=0o600)
    target.write_text(json.dumps(config, indent=1))


def prepare(cluster: settings.Cluster, nodes: list[settings.Node]) -> None:
    """Make every certificate and kubeconfig that the cluster needs and has not got."""
    folder = cluster.state / "pki"
    authority = Authority(folder)
    front = Authority(folder, "front-proxy-ca")
    first = nodes[0]
    authority.issue(
        "apiserver",
        "kube-apiserver",
        alternative_names=(
            "DNS:kubernetes",
            "DNS:kubernetes.default",
            "DNS:kubernetes.default.svc",
            "DNS:kubernetes.default.svc.cluster.local",
            "DNS:localhost",
            "IP:127.0.0.1",
            f"IP:{settings.API_SERVICE}",
            f"IP:{first.address}",
        ),
    )
    authority.issue("kubelet-client", "kube-apiserver-kubelet-client", organisation="system:masters")
    front.issue("front-proxy-client", "front-proxy-client")
    service_account_key = folder / "service-accounts.key"
    if not service_account_key.exists():
        run("openssl", "genrsa", "-out", service_account_key, "2048")
    inside = f"https://{first.address}:6443"
    identities = [("admin", "claims-admin", "system:masters", cluster.kubeconfig, f"https://{cluster.api_address}")]
    identities.extend(
        (program, f"system:{program}", "", folder / f"{program}.kubeconfig", inside)
        for program in ("kube-controller-manager", "kube-scheduler", "kube-proxy")
    )
    for node in nodes:
        target = folder / f"{node.name}.kubeconfig"
        identities.append((node.name, f"system:node:{node.name}", "system:nodes", target, inside))
        authority.issue(f"{node.name}-server", node.name, alternative_names=(f"IP:{node.address}", f"DNS:{node.name}"))
    for name, common_name, organisation, target, server in identities:
        certificate, key = authority.issue(name, common_name, organisation=organisation)
        write_kubeconfig(
            target,
            server=server,
            context=cluster.context,
            authority=authority.certificate,
            certificate=certificate,
            key=key,
        )
