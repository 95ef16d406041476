"""`python -m tests.fuzz --minutes 10`: draws kubeconfigs until the time is over."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.audit import Audit
from tests.fuzz.checks import check_administrator, check_link
from tests.fuzz.strategies import Case, cases


def main() -> int:
    """The exit code: 1 if a kubeconfig did what none may do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument(
        "--round", type=int, default=200, help="examples between two looks at the clock"
    )
    chosen = parser.parse_args()
    show(f"--seed {chosen.seed}")
    with tempfile.TemporaryDirectory(prefix="svclink-fuzz-") as name:
        return fuzz(chosen.minutes * 60, chosen.seed, chosen.round, Path(name))


def fuzz(seconds: float, first_seed: int, size: int, directory: Path) -> int:
    """Run rounds of examples, by turns as a link's kubeconfig and as the administrator's."""
    audit, counts, ends_at = Audit(), Counter[str](), time.monotonic() + seconds
    canary_file = directory / "canary"
    canary_file.write_text("canary", encoding="utf-8")
    require_notice(audit, canary_file)

    def link(case: Case) -> bool:
        return check_link(case, audit)

    def administrator(case: Case) -> bool:
        return check_administrator(case, audit, directory)

    failures = 0
    number = first_seed
    while True:
        for is_admin, check in ((False, link), (True, administrator)):
            drawn = cases(str(canary_file), is_admin=is_admin)
            failures += has_failed(check, drawn, number, size, counts)
        number += 1
        show(f"{dict(counts)}, failed rounds: {failures}")
        if time.monotonic() >= ends_at:
            return 1 if failures else 0


def require_notice(audit: Audit, canary_file: Path) -> None:
    """Check that the audit sees what it is there for."""
    with audit.watching() as seen:
        canary_file.read_bytes()
        subprocess.run([sys.executable, "-c", ""], check=True)
    if seen[:2] != [f"open {str(canary_file)!r}", "subprocess.Popen"]:
        raise SystemExit(f"the audit events of this Python are not known: {seen}")


def has_failed(
    check: Callable[[Case], bool],
    drawn: st.SearchStrategy[Case],
    number: int,
    size: int,
    counts: Counter[str],
) -> bool:
    """Run one round; whether an example failed, which is printed then."""

    @seed(number)
    @settings(
        max_examples=size,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(drawn)
    def run_round(case: Case) -> None:
        counts[check.__name__] += 1
        counts[f"{check.__name__} accepted"] += check(case)

    try:
        run_round()
    except Exception as error:  # noqa: BLE001 - everything that comes out is a finding
        sys.stderr.write(f"round {number} of {check.__name__}:\n")
        traceback.print_exception(error)
        return True
    return False


def show(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
