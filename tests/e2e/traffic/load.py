"""Load on a Service, and its results as a table and, with `--plot`, as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.builders.manifests import Manifest
from tests.e2e.polling import eventually

from .programs import Program

TIMEOUT_SECONDS: Final = 5
"""Longer than any response takes, even on a busy machine."""

BLACK_HOLE_SECONDS: Final = 2.5
"""Timeout for dropped packets: it ends between two retransmissions of the first packet."""

SHORT_TIMEOUT_SECONDS: Final = 0.5
"""Timeout for requests that are meant to be lost: it ends before the first retransmission."""


STEADY_REQUESTS: Final = 50
"""A load is steady after this many requests."""

COLOURS: Final = {"main": "tab:blue", "c1": "tab:orange", "c2": "tab:green"}
"""The line of each cluster in pictures."""


@dataclass(frozen=True)
class Result:
    """One request: its start (POSIX seconds), duration, port, and responder or error."""

    at: float
    seconds: float
    port: int | None
    cluster: str | None
    pod: str | None
    error: str | None


@dataclass
class Load:
    """A load and, when it is over, its results by start time."""

    url: str
    results: list[Result] = field(default_factory=list)

    @property
    def failures(self) -> list[Result]:
        return [result for result in self.results if result.error is not None]

    def by_cluster(self) -> Counter[str]:
        return Counter(result.cluster for result in self.results if result.cluster is not None)

    def before(self, moment: float) -> list[Result]:
        """The requests that were done before a moment."""
        return [result for result in self.results if result.at + result.seconds < moment]

    def after(self, moment: float) -> list[Result]:
        """The requests that began after a moment."""
        return [result for result in self.results if result.at > moment]

    def table(self) -> str:
        """Requests, failures and latency by cluster."""
        rows = [f"{'cluster':<10}{'requests':>10}{'median ms':>12}{'max ms':>10}"]
        for cluster, count in sorted(self.by_cluster().items()):
            times = sorted(
                result.seconds * 1000 for result in self.results if result.cluster == cluster
            )
            rows.append(
                f"{cluster:<10}{count:>10}{times[len(times) // 2]:>12.1f}{times[-1]:>10.1f}"
            )
        kinds = Counter(result.error for result in self.failures)
        rows.append(f"{'failed':<10}{len(self.failures):>10}  {dict(kinds) or ''}")
        return "\n".join([*rows, f"{self.rate():.0f} requests a second"])

    def rate(self) -> float:
        """Requests that were sent per second."""
        span = self.results[-1].at - self.results[0].at if self.results else 0
        return (len(self.results) - 1) / span if span else 0


class LoadGenerator:
    """Sends requests from the node of the main cluster."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @contextmanager
    def under_load(
        self, url: str, rate: float = 200, timeout: float = TIMEOUT_SECONDS, at_most: float = 60
    ) -> Iterator[Load]:
        """Send requests at this rate while the context is open, for at most this many seconds."""
        load = Load(url)
        number = self._begin(url, rate, int(rate * at_most), timeout)
        eventually(lambda: self._assert_sent(number, STEADY_REQUESTS))
        try:
            yield load
        finally:  # The next test must not find the load of one that failed.
            load.results = results_of(self._program.call({"stop": number}))

    def requests(
        self,
        url: str,
        count: int,
        timeout: float = TIMEOUT_SECONDS,
        ports: Collection[int] | None = None,
    ) -> Load:
        """Send requests as fast as possible, from these ports or else from the next ones."""
        number = self._begin(url, 2_000, count, timeout, ports)
        return Load(url, results_of(self._program.call({"finish": number})))

    def _assert_sent(self, number: int, count: int) -> None:
        sent = self._program.call({"sent": number})
        assert sent >= count, f"{sent} requests were sent"

    def _begin(
        self,
        url: str,
        rate: float,
        count: int,
        timeout: float,
        ports: Collection[int] | None = None,
    ) -> int:
        order: Manifest = {"url": url, "rate": rate, "count": count, "timeout": timeout}
        if ports is not None:
            order["ports"] = sorted(ports)
        return int(self._program.call({"begin": order}))


def results_of(answer: list[dict[str, Any]]) -> list[Result]:
    """The results from the load generator, by start time."""
    return sorted((result_of(each) for each in answer), key=lambda result: result.at)


def result_of(line: dict[str, Any]) -> Result:
    cluster, _, pod = str(line["by"] or "").partition(" ")
    error = None if line["error"] is None else str(line["error"])
    return Result(
        float(line["at"] or 0),
        float(line["seconds"] or 0),
        line["port"],
        cluster or None,
        pod or None,
        error,
    )


def plot(load: Load, marks: Sequence[tuple[float, str]], file: Path) -> None:
    """Requests a second by cluster over time, with failures and named moments marked.

    The last second is left out, because the load ended in it.
    """
    import matplotlib as mpl  # noqa: PLC0415 - takes a second to import and is only needed for --plot

    mpl.use("Agg")
    # Text stays text, and ids do not change from run to run: the files are small and compare well.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "svclink"})
    from matplotlib import pyplot as plt  # noqa: PLC0415

    start = load.results[0].at
    span = range(int(load.results[-1].at - start))
    figure, axes = plt.subplots(figsize=(9, 3.5), layout="constrained")
    for cluster, colour in COLOURS.items():
        seconds = Counter(
            int(result.at - start) for result in load.results if result.cluster == cluster
        )
        if seconds:
            counts = [seconds[second] for second in span]
            axes.plot(
                [*span, len(span)],
                [*counts, counts[-1]],
                colour,
                drawstyle="steps-post",
                label=cluster,
            )
    failed = Counter(int(result.at - start) for result in load.failures)
    if failed:
        axes.plot(list(failed), list(failed.values()), "rx", label="failed")
    for moment, name in marks:
        _mark(axes, moment - start, name)
    room_for_names = 1.5 * axes.get_ylim()[1]
    axes.set(xlabel="seconds", ylabel="requests a second", ylim=(0, room_for_names))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def _mark(axes: Any, second: float, name: str) -> None:
    """Mark a moment with its name."""
    axes.axvline(second, color="grey", linestyle=":")
    axes.annotate(
        name,
        (second, 0.97),
        xycoords=("data", "axes fraction"),
        rotation=90,
        va="top",
        ha="right",
    )
