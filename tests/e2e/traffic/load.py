"""Load on a Service, and what became of each request: as a table, and with `--plot` as a picture."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .client import STARTED
from .network import NODE, inside

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Result:
    """One request: when it began (POSIX seconds), how long it took, which Pod answered, or what went wrong."""

    at: float
    seconds: float
    cluster: str | None
    pod: str | None
    error: str | None


@dataclass
class Load:
    """A running load and, once it is over, its results in the order of their beginning."""

    url: str
    results: list[Result] = field(default_factory=list)

    @property
    def failures(self) -> list[Result]:
        return [result for result in self.results if result.error is not None]

    def by_cluster(self) -> Counter[str]:
        return Counter(result.cluster for result in self.results if result.cluster is not None)

    def after(self, moment: float) -> list[Result]:
        return [result for result in self.results if result.at > moment]

    def table(self) -> str:
        """Requests, failures and latency by cluster."""
        rows = [f"{'cluster':<10}{'requests':>10}{'median ms':>12}{'max ms':>10}"]
        for cluster, count in sorted(self.by_cluster().items()):
            times = sorted(result.seconds * 1000 for result in self.results if result.cluster == cluster)
            rows.append(f"{cluster:<10}{count:>10}{times[len(times) // 2]:>12.1f}{times[-1]:>10.1f}")
        kinds = Counter(result.error for result in self.failures)
        return "\n".join([*rows, f"{'failed':<10}{len(self.failures):>10}  {dict(kinds) or ''}"])


@contextmanager
def under_load(url: str, rate: float = 200, seconds: float = 60) -> Iterator[Load]:
    """Requests at a rate for as long as the block lasts, and no longer than so many seconds."""
    load = Load(url)
    with client(url, rate, int(rate * seconds)) as program:
        time.sleep(0.5)
        yield load
        program.terminate()
        load.results = parse(program)


def requests(url: str, count: int, rate: float = 400) -> Load:
    """So many requests."""
    with client(url, rate, count) as program:
        return Load(url, parse(program))


def client(url: str, rate: float, count: int) -> subprocess.Popen[str]:
    """The load generator, on the node, once it sends."""
    arguments = ("--rate", str(rate), "--count", str(count))
    command = inside(NODE, sys.executable, "-m", "tests.e2e.traffic.client", url, *arguments)
    program = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert program.stdout is not None
    assert program.stdout.readline() == STARTED, f"the load generator ended: {program.communicate()[1]}"
    return program


def parse(program: subprocess.Popen[str]) -> list[Result]:
    """What the load generator printed, up to its end."""
    printed, complaints = program.communicate()
    assert program.returncode == 0, complaints
    return sorted((result_of(json.loads(line)) for line in printed.splitlines()), key=lambda result: result.at)


def result_of(line: dict[str, float | str | None]) -> Result:
    cluster, _, pod = str(line["by"] or "").partition(" ")
    error = None if line["error"] is None else str(line["error"])
    return Result(float(line["at"] or 0), float(line["seconds"] or 0), cluster or None, pod or None, error)


def plot(load: Load, marks: Sequence[tuple[float, str]], file: Path) -> None:
    """Requests a second by cluster over time, with failures and named moments marked."""
    import matplotlib as mpl  # noqa: PLC0415 - takes a second to import and is only needed for --plot

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    start = load.results[0].at
    figure, axes = plt.subplots(figsize=(9, 3.5), layout="constrained")
    span = range(int(load.results[-1].at - start) + 1)
    for cluster in sorted(load.by_cluster()):
        seconds = Counter(int(result.at - start) for result in load.results if result.cluster == cluster)
        axes.plot(span, [seconds[second] for second in span], drawstyle="steps-post", label=cluster)
    failed = Counter(int(result.at - start) for result in load.failures)
    if failed:
        axes.plot(list(failed), list(failed.values()), "rx", label="failed")
    for moment, name in marks:
        axes.axvline(moment - start, color="grey", linestyle=":")
        axes.annotate(
            name, (moment - start, 0.97), xycoords=("data", "axes fraction"), rotation=90, va="top", ha="right"
        )
    axes.set(xlabel="seconds", ylabel="requests a second", ylim=(0, None))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)
    plt.close(figure)
