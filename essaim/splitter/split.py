"""Picks the release of the next request, on one machine."""

import random
from collections import deque
from collections.abc import Mapping, Sequence
from math import gcd

from essaim.rollout.errors import RolloutRefusedError
from essaim.rollout.service import Entries, JsonObject, traffic_entries


def in_force(service: JsonObject) -> Entries:
    """What `status.traffic` says once `spec.traffic` holds: each entry with its revision, each tag with its URL.

    Raises `RolloutRefusedError` for a split that cannot be.
    """
    addresses, newest = service["status"]["addresses"], service["status"]["latestReadyRevisionName"]
    found: Entries = []
    for entry in traffic_entries(service):
        name, percent = entry.get("revisionName") or newest, entry.get("percent", 0)
        if name not in addresses:
            raise RolloutRefusedError(f"there is no revision {name!r} here: there are {', '.join(addresses)}")
        if type(percent) is not int or not 0 <= percent <= 100:
            raise RolloutRefusedError(f"{percent!r} is no share of the requests: they are whole percents")
        found.append({**entry, "revisionName": name, **({"url": addresses[name]} if entry.get("tag") else {})})
    tags = [entry["tag"] for entry in found if entry.get("tag")]
    if len(tags) > len(set(tags)):
        raise RolloutRefusedError(f"a tag is there twice: {', '.join(tags)}")
    if (total := sum(entry.get("percent", 0) for entry in found)) != 100:
        raise RolloutRefusedError(f"the shares of the requests are {total} % together, not 100")
    return found


def shares(traffic: Sequence[JsonObject]) -> dict[str, int]:
    """Percent by revision, without those at 0."""
    found: dict[str, int] = {}
    for entry in traffic:
        if percent := entry.get("percent", 0):
            found[entry["revisionName"]] = found.get(entry["revisionName"], 0) + percent
    return found


class Deck:
    """Deals revisions like shuffled cards: each deck has them exactly in proportion to their shares.

    So 1 % is one in every hundred, not one in a hundred on average; and since nobody knows which, a client that sends two
    kinds of jobs in turn does not send each kind to one release. A deck is as small as the shares allow: 10 for 10 : 90.
    """

    def __init__(self, shares: Mapping[str, int]) -> None:
        divisor = gcd(*shares.values())
        self._cards = [name for name, percent in shares.items() for _ in range(percent // divisor)]
        self._left: deque[str] = deque()

    def deal(self) -> str:
        if not self._left:
            self._left.extend(random.sample(self._cards, len(self._cards)))
        return self._left.popleft()
