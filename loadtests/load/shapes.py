"""When visitors come: each brings one job, whether or not those before are done, as it is with people.

A shape says how many of all have come after so many seconds. `span` is how long they keep coming.
"""

from collections.abc import Callable
from dataclasses import dataclass

Arrived = Callable[[float], float]  # from the share of the span that is over to the share of visitors that have come

WAVES = (0.0, 1 / 3, 1.0)


@dataclass(frozen=True)
class Shape:
    """`jobs` and `span`, in seconds, are what is played when nothing else is said: something for one small machine."""

    says: str
    arrived: Arrived
    jobs: int
    span: float

    def visitors(self, seconds: float, jobs: int, span: float) -> int:
        """How many have come by then."""
        if seconds < 0:
            return 0
        share = min(1.0, seconds / span) if span > 0 else 1.0
        return min(jobs, int(jobs * self.arrived(share) + 1e-9))


def _waves(share: float) -> float:
    return sum(share >= wave for wave in WAVES) / len(WAVES)


SHAPES = {
    "spike": Shape("all at once", lambda share: 1.0, jobs=100, span=0),
    "waves": Shape("a third, another before the workers have gone, another after", _waves, jobs=90, span=36),
    "ramp": Shape("faster and faster", lambda share: share**2, jobs=90, span=40),
    "soak": Shape("evenly", lambda share: share, jobs=60, span=50),
}
