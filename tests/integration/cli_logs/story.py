"""What `essaim logs` tells, taken apart."""

import re

from tests.integration.essaim_command import Said

NOBODY = "0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10"
ROW = re.compile(r"(\S+ \S+) +(\d+\.\d\d)s  (\S+) +(?:(\d+)/(\d+) +)?(.*)")


def told(said: Said) -> list[tuple[str, str, str]]:
    """Event, task/attempt and the rest of each line of the story."""
    assert said.code == 0, said.err
    found = [ROW.fullmatch(line.rstrip()) for line in said.out.splitlines()[1:-1]]
    return [(row[3], f"{row[4]}/{row[5]}" if row[4] else "", row[6]) for row in found if row]
