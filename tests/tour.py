"""The pages of docs/tour: their commands, run as they stand, and what they say one will see."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

FOLDER = ROOT / "docs" / "tour"
PAGES = sorted(FOLDER.glob("[0-9]*.md"), key=lambda path: int(path.name.partition("-")[0]))
ON_A_CLUSTER = "<!-- on a cluster -->"
BLOCK = re.compile(rf"^({ON_A_CLUSTER}\n)?```(\w*)\n(.*?)^```$", re.M | re.S)
HERE = "http://127.0.0.1:8080"
DEADLINE = 600.0  # seconds until something that never comes fails its test; no claim about speed


@dataclass(frozen=True)
class Step:
    """Commands, and lines that are among what they print, in this order; `…` stands for anything."""

    commands: str
    seen: tuple[str, ...]
    on_a_cluster: bool


def steps(page: Path) -> list[Step]:
    """Each `sh` block of the page with the `text` block after it. Other blocks would be run by nobody."""
    found: list[Step] = []
    for cluster, language, content in BLOCK.findall(page.read_text()):
        if language == "sh":
            found.append(Step(content, (), bool(cluster)))
        else:
            assert language == "text", f"{page.name}: a block of {language or 'nothing'}"
            assert found, f"{page.name}: what prints this?"
            before = found.pop()
            found.append(Step(before.commands, tuple(content.splitlines()), before.on_a_cluster))
    return found


def walk(given: list[Step], environment: Mapping[str, str], **instead: str) -> str:
    """Run the steps in one shell, with words of the page replaced, and find what was to be seen. Returns all of it."""
    script = "set -euo pipefail\n"
    for number, step in enumerate(given):
        script += f"printf '\\n@@ %s\\n' {number}\n{step.commands}"
    for word, other in instead.items():
        script = script.replace(word, other)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stdout
    for step, printed in zip(given, re.split(r"^@@ \d+\n", done.stdout, flags=re.M)[1:], strict=True):
        left = printed.splitlines()
        for line in step.seen:
            while left and not _is_like(left[0], line):
                del left[0]
            assert left, f"never seen: {line!r} in\n{printed}"
    return done.stdout


def _is_like(printed: str, line: str) -> bool:
    pattern = re.escape(" ".join(line.split())).replace("…", ".*")
    return re.fullmatch(pattern, " ".join(printed.split())) is not None
