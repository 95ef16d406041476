"""The first process of a machine: it prepares the mounts, and reaps processes without a parent.

It runs as process 1 of its namespaces: `python machine_init.py DIRECTORY NAME`. Standard library
only. When it ends, the kernel kills all other processes of the machine.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""Settings that kubelet wants. They belong to the kernel of the test host, so it gets files."""


def main() -> None:
    """Prepare the machine, tell its process id, and reap processes for ever."""
    directory, name = Path(sys.argv[1]), sys.argv[2]
    # The old /proc shows the id by which the test host knows this process.
    process_id = Path("/proc/self").readlink()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    socket.sethostname(name)
    mount_all(directory)
    pid_file = directory / "init.pid"
    pid_file.with_suffix(".new").write_text(str(process_id), encoding="utf-8")
    pid_file.with_suffix(".new").rename(pid_file)
    while True:
        reap()
        signal.sigwait({signal.SIGCHLD})


def mount_all(directory: Path) -> None:
    """Mount what the machine has for itself. Pods must see later mounts of kubelet: shared."""
    mount("--make-rshared", "/")
    mount("-t", "proc", "proc", "/proc")
    mount("-t", "tmpfs", "tmpfs", "/run")
    for place in ("lib", "log"):
        (directory / place).mkdir(exist_ok=True)
        mount("--bind", str(directory / place), f"/var/{place}")
    for name, value in SYSCTLS.items():
        file = directory / name.replace("/", ".")
        file.write_text(value, encoding="utf-8")
        mount("--bind", str(file), f"/proc/sys/{name}")


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def reap() -> None:
    """Collect the exit codes of all children that have exited."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main()
