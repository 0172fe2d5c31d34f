"""Processes of a benchmark: started, left behind by nobody, and what CPU time they and their children have used."""

import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

TICKS = os.sysconf("SC_CLK_TCK")


def start(argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Its output goes to a file in the folder, for whoever wonders why it failed."""
    with (folder / f"{time.monotonic_ns()}.log").open("wb") as log:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return subprocess.Popen(argv, cwd=folder, env={**inherited, **environment}, stdout=log, stderr=log)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def cpu_seconds(pid: int | None) -> float | None:
    """Of the process, its children that live and those that have ended. None where it is not on this machine."""
    if pid is None:
        return None
    total, parents = 0.0, {pid}
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15])) / TICKS
    while parents:
        total += sum(found[one][1] for one in parents if one in found)
        parents = {one for one, (parent, _) in found.items() if parent in parents}
    return total


def listening_pid(url: str) -> int | None:
    """The process on this machine that listens where the URL points, if this user may see it."""
    port = urlsplit(url).port or {"amqp": 5672, "mongodb": 27017}.get(urlsplit(url).scheme, 0)
    sockets = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if sockets & {os.readlink(file) for file in (entry / "fd").iterdir()}:
                    return int(entry.name)
            except OSError:
                continue
    return None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
