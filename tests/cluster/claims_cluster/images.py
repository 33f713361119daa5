"""Container images: the cluster's own from built programs, the platform's from their Dockerfiles."""

import dataclasses
import hashlib
import io
import json
import tarfile
from pathlib import Path

from claims_cluster import parts, settings
from claims_cluster.progress import Progress
from claims_cluster.shell import Failure, run, succeeds

REGISTRY = "localhost/claims"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartImage:
    """An image that holds programs the cluster's cache has; ``files`` maps places in the image to files here."""

    name: str
    tag: str
    files: dict[str, Path]
    entrypoint: tuple[str, ...]
    with_base: bool = False
    user: str = "65532:65532"

    @property
    def reference(self) -> str:
        """The name a pod uses."""
        return f"{REGISTRY}/{self.name}:{self.tag}"


def part_images() -> list[PartImage]:
    """Return the images of everything that runs in the cluster and is not the platform."""

    def single(name: str, tag: str, program: str = "", arguments: tuple[str, ...] = ()) -> PartImage:
        place = f"/usr/local/bin/{program or name}"
        return PartImage(
            name=name, tag=tag, files={place: parts.program(program or name)}, entrypoint=(place, *arguments)
        )

    def with_libc(name: str, tag: str, program: Path, *more: Path) -> PartImage:
        place = f"/usr/local/bin/{program.name}"
        files = {place: program, **{str(file): file for file in more}}
        return PartImage(name=name, tag=tag, files=files, entrypoint=(place,), with_base=True)

    return [
        PartImage(name="pause", tag="1", files={"/pause": parts.program("pause")}, entrypoint=("/pause",)),
        single("coredns", settings.COREDNS_VERSION),
        single("metrics-server", settings.METRICS_SERVER_VERSION),
        single("kserve-manager", settings.KSERVE_VERSION),
        single("kserve-agent", settings.KSERVE_VERSION),
        single("envoy-gateway", settings.GATEWAY_VERSION),
        with_libc("envoy", f"v{settings.ENVOY_VERSION}", parts.program("envoy")),
        single("prometheus", settings.PROMETHEUS_VERSION),
        with_libc(
            "alertmanager",
            _package_version("prometheus-alertmanager"),
            Path("/usr/bin/prometheus-alertmanager"),
            *Path("/usr/share/prometheus/alertmanager").glob("*.tmpl"),
        ),
    ]


def part_references() -> dict[str, str]:
    """Return what pods call the images of `part_images`, by name."""
    return {image.name: image.reference for image in part_images()}


def _package_version(package: str) -> str:
    version = run("dpkg-query", "-W", "-f", "${Version}", package)
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in version)


def write_archive(target: Path, image: PartImage) -> None:
    """Write an image as a docker archive, layer by layer, with no builder."""
    layers = [parts.base_image()] if image.with_base else []
    own = target.with_name(f".{target.name}.layer")
    _write_layer(own, image.files)
    layers.append(own)
    digests = [_sha256(layer) for layer in layers]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": list(image.entrypoint),
                "User": image.user,
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            },
            "history": [{"created_by": "claims_cluster"} for _ in digests],
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [
        {
            "Config": config_name,
            "RepoTags": [image.reference],
            "Layers": [f"{digest}.tar" for digest in digests],
        }
    ]
    with tarfile.open(target, "w") as archive:
        for layer, digest in zip(layers, digests, strict=True):
            archive.add(layer, f"{digest}.tar")
        for name, content in ((config_name, config), ("manifest.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    own.unlink()


def _write_layer(target: Path, files: dict[str, Path]) -> None:
    with tarfile.open(target, "w") as layer:
        scratch = tarfile.TarInfo("tmp")
        scratch.type, scratch.mode = tarfile.DIRTYPE, 0o1777
        layer.addfile(scratch)
        for place, source in files.items():
            entry = tarfile.TarInfo(place.lstrip("/"))
            entry.size, entry.mode = source.stat().st_size, 0o755
            with source.open("rb") as content:
                layer.addfile(entry, content)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ctr(node: settings.Node, *arguments: str | Path) -> str:
    """Run containerd's own client against a node."""
    return run("ctr", "--address", node.containerd_socket, "--namespace", "k8s.io", *arguments)


def present(node: settings.Node) -> set[str]:
    """Return the references of the images a node has."""
    return set(ctr(node, "images", "list", "--quiet").split())


def load_archive(node: settings.Node, archive: Path) -> None:
    """Import an image archive into a node."""
    ctr(node, "images", "import", archive)


def load_parts(node: settings.Node, progress: Progress) -> None:
    """Import the cluster's own images unless the node has them; write their archives only then."""
    have = present(node)
    for image in part_images():
        if image.reference in have:
            continue
        with progress.step(f"image {image.name}", 5):
            archive = settings.cache_directory() / "images" / f"part-{image.name}-{image.tag}.tar"
            parts.written_once(archive, lambda target, image=image: write_archive(target, image))  # type: ignore[misc]
            load_archive(node, archive)
            archive.unlink()


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlatformImage:
    """An image of the platform: a Dockerfile and the paths of the checkout that it copies from."""

    name: str
    dockerfile: str
    sources: tuple[str, ...]

    @property
    def tag(self) -> str:
        """A digest of all that goes in, so that an image is rebuilt only when its content changed."""
        digest = hashlib.sha256(parts.base_image().name.encode())
        for source in (self.dockerfile, *self.sources):
            for path in _files(settings.CHECKOUT / source):
                digest.update(f"{path.relative_to(settings.CHECKOUT)}\n".encode() + path.read_bytes())
        return digest.hexdigest()[:12]

    @property
    def reference(self) -> str:
        """The name a pod uses."""
        return f"{REGISTRY}/{self.name}:{self.tag}"


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise Failure(f"{place.relative_to(settings.CHECKOUT)} is named as a source of an image and is not there.")
    return sorted(path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


CONTRACT = "runtimes/contract/claims_contract"

PLATFORM_IMAGES = (
    PlatformImage(
        name="claims-operator",
        dockerfile="operator/Dockerfile",
        sources=(
            "operator/requirements.lock",
            "operator/claims_operator",
            "operator/claims_sequential",
            CONTRACT,
        ),
    ),
    PlatformImage(
        name="claims-runtime",
        dockerfile="runtimes/tabular/Dockerfile",
        sources=("runtimes/tabular/requirements.lock", "runtimes/tabular/claims_runtime", CONTRACT),
    ),
    PlatformImage(
        name="claims-storage",
        dockerfile="runtimes/storage/Dockerfile",
        sources=("runtimes/storage/claims_storage", CONTRACT),
    ),
    PlatformImage(
        name="claims-feedback",
        dockerfile="runtimes/feedback/Dockerfile",
        sources=("runtimes/feedback/requirements.lock", "runtimes/feedback/claims_feedback", CONTRACT),
    ),
    PlatformImage(
        name="claims-training",
        dockerfile="training/Dockerfile",
        sources=("training/requirements.lock", "training/claims_training", CONTRACT),
    ),
    PlatformImage(
        name="claims-mlflow",
        dockerfile="runtimes/mlflow/Dockerfile",
        sources=("runtimes/mlflow/requirements.lock",),
    ),
)


def archive_of(image: PlatformImage) -> Path:
    """Return where a built image is kept for every checkout."""
    return settings.cache_directory() / "images" / f"{image.name}-{image.tag}.tar"


def build(image: PlatformImage) -> Path:
    """Build a platform image from its Dockerfile with buildah and return its archive.

    The same file builds elsewhere with ``docker build -f DOCKERFILE .`` from a public base image.
    """
    archive = archive_of(image)

    def write(target: Path) -> None:
        log = settings.cache_directory() / f"build-{image.name}.log"
        base = _base_reference()
        run(
            *BUILDAH,
            "bud",
            "--isolation=chroot",
            "--network=host",
            "--layers=true",
            "--pull-never",
            "--quiet",
            *_certificate_arguments(),
            "--build-arg",
            f"BASE={base}",
            "--file",
            settings.CHECKOUT / image.dockerfile,
            "--tag",
            image.reference,
            settings.CHECKOUT,
            log=log,
            timeout_seconds=1800,
        )
        run(
            *BUILDAH,
            "push",
            "--quiet",
            image.reference,
            f"docker-archive:{target}:{image.reference}",
            log=log,
        )

    if archive.exists():
        archive.touch()
    else:
        parts.written_once(archive, write)
        forget_older(image)
    return archive


KEPT_ARCHIVES = 3
"""So many builds of one image are kept: for the checkouts that take turns on this machine."""


def forget_older(image: PlatformImage) -> None:
    """Delete the builds of an image that were not used for longest."""
    archives = (settings.cache_directory() / "images").glob(f"{image.name}-*.tar")
    for old in sorted(archives, key=lambda archive: archive.stat().st_mtime, reverse=True)[KEPT_ARCHIVES:]:
        old.unlink(missing_ok=True)
        reference = f"{REGISTRY}/{image.name}:{old.stem.removeprefix(image.name + '-')}"
        if succeeds(*BUILDAH, "inspect", "--type", "image", reference):
            run(*BUILDAH, "rmi", reference)


def push(reference: str, archive: Path, target: str, *, insecure: bool) -> None:
    """Push an image to a registry, with the credentials of ``buildah login`` if there are any.

    ``target``: its name there, with the registry's address. ``insecure``: plain HTTP, or HTTPS that nobody certified.

    Raises:
        Failure: the registry did not take it; holds what it said.
    """
    if not succeeds(*BUILDAH, "inspect", "--type", "image", reference):
        run(*BUILDAH, "pull", "--quiet", f"docker-archive:{archive}")
    security = f"--tls-verify={'false' if insecure else 'true'}"
    run(*BUILDAH, "push", "--quiet", security, reference, f"docker://{target}")


BUILDAH = (
    "buildah",
    "--storage-driver=overlay",
    "--root",
    str(settings.cache_directory() / "buildah"),
    "--runroot",
    "/run/claims-cluster/buildah",
)


def _certificate_arguments() -> tuple[str, ...]:
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if not bundle.exists():
        return ()
    return ("--volume", f"{bundle}:{bundle}:ro")


def _base_reference() -> str:
    reference = f"{REGISTRY}/base:{parts.base_image().stem}"
    if not succeeds(*BUILDAH, "inspect", "--type", "image", reference):
        image = PartImage(
            name="base", tag=parts.base_image().stem, files={}, entrypoint=("/bin/sh",), with_base=True, user="0:0"
        )
        archive = settings.cache_directory() / "images" / "base.tar"
        parts.written_once(archive, lambda target: write_archive(target, image))
        run(*BUILDAH, "pull", "--quiet", f"docker-archive:{archive}")
        archive.unlink()
    return reference


def load_platform(node: settings.Node, progress: Progress, names: tuple[str, ...] = ()) -> dict[str, str]:
    """Build and import the platform's images where they changed; return reference by name."""
    have = present(node)
    references = {image.name: image.reference for image in PLATFORM_IMAGES if not names or image.name in names}
    missing = [image for image in PLATFORM_IMAGES if image.name in references and image.reference not in have]
    for number, image in enumerate(missing, start=1):
        with progress.step(f"image {image.name} ({number} of {len(missing)})", 60) as step:
            step.say("building")
            archive = build(image)
            step.say("importing")
            load_archive(node, archive)
    return references
