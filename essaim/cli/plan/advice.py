"""Which candidate to choose, and why, in sentences."""

import math
from collections.abc import Sequence

from essaim.autoscaler.hpa import LEGACY_WINDOW
from essaim.planning.arrivals import Load
from essaim.planning.outcome import Cause
from essaim.planning.planning import Assessment, choose, indifferent, shortest
from essaim.units import duration

NOTABLE = 0.25  # idle time is worth a sentence above this share of the cost
LITTLE = 0.05  # waiting is not worth a sentence below this share
REMEDIES = {
    Cause.ASLEEP: {
        "minReplicaCount": "minReplicaCount=1 keeps one awake, and paid for",
        "pollingInterval": "a lower pollingInterval wakes the first one sooner",
    },
    Cause.STARTING: {
        "cooldownPeriod": "a longer cooldownPeriod keeps those that are there",
        "": "nothing here makes them start sooner, a smaller image and fewer imports do",
    },
    Cause.GROWING: {
        "tasksPerWorker": "a lower tasksPerWorker asks for more at once",
        "minReplicaCount": "minReplicaCount=5 with idleReplicaCount=0 begins with five",
    },
    Cause.FULL: {"maxReplicaCount": "a higher maxReplicaCount"},
}
"""By field, so that fields that were tried without effect are not advised."""


def time(seconds: float) -> str:
    """For people; infinite for a job that does not end."""
    return duration(seconds) if math.isfinite(seconds) else "for ever"


def advice(assessments: Sequence[Assessment], load: Load, target: float | None) -> list[str]:
    """The recommendation first; without a target, only observations."""
    if target is None:
        first = ["Say what is wanted, as in --p95 10s, and one is recommended."] if len(assessments) > 1 else []
        return [
            *first,
            *_waiting(min(assessments, key=lambda it: it.worst.p95), assessments),
            *_indifferent(assessments),
        ]
    chosen = choose(assessments, target)
    if chosen is None:
        return [*_none(assessments, load, target), *_indifferent(assessments)]
    return [
        *_chosen(chosen, assessments, target),
        *_cheaper(chosen, assessments, target),
        *_idle(chosen),
        *_indifferent(assessments),
    ]


def _share(value: float) -> str:
    return f"{value * 100:.0f} %"


def _chosen(chosen: Assessment, assessments: Sequence[Assessment], target: float) -> list[str]:
    fit = [it for it in assessments if it.worst.p95 <= target]
    cost = f"{chosen.worker_seconds:,.0f} worker-seconds"
    least = chosen.worker_seconds <= min(it.worker_seconds for it in fit)
    rank = (
        f"the cheapest of the {len(fit)} that do" if least else f"as cheap as any of the {len(fit)} that do, within 1 %"
    )
    rank = rank if len(fit) > 1 else "the only one that does"
    what = f"It costs {cost}." if len(assessments) == 1 else f"It is {rank}: {cost}."
    reached = f"95 % of the results within {time(chosen.worst.p95)}, where {time(target)} is wanted"
    said = [f"Take {chosen.candidate}: it has {reached}. {what}"]
    others = [it for it in fit if it is not chosen and it.worst.p95 < chosen.worst.p95 * 0.9]
    if others:
        quickest = min(others, key=lambda it: it.worst.p95)
        more = _share(quickest.worker_seconds / chosen.worker_seconds - 1)
        said.append(f"For {more} more, {quickest.candidate} has them within {time(quickest.worst.p95)}.")
    return said


def _cheaper(chosen: Assessment, assessments: Sequence[Assessment], target: float) -> list[str]:
    """The best of the cheaper candidates, and why it misses the target."""
    cheaper = [it for it in assessments if it.worst.p95 > target and it.worker_seconds < chosen.worker_seconds * 0.99]
    if not cheaper:
        return []
    nearest = min(cheaper, key=lambda it: it.worst.p95)
    less = _share(1 - nearest.worker_seconds / chosen.worker_seconds)
    return [f"{nearest.candidate} costs {less} less, but takes {time(nearest.worst.p95)}: {_causes(nearest)}."]


def _none(assessments: Sequence[Assessment], load: Load, target: float) -> list[str]:
    nearest = min(assessments, key=lambda it: it.worst.p95)
    said = f"None has 95 % of the results within {time(target)}. Nearest is {nearest.candidate}: {time(nearest.worst.p95)}."
    alone = shortest(load)
    if alone > target:
        return [said, f"None can: the work alone takes {time(alone)}. Split it into more tasks, or allow more time."]
    return [said, *_waiting(nearest, assessments)]


def _waiting(one: Assessment, assessments: Sequence[Assessment]) -> list[str]:
    """What to change for tasks to wait less."""
    share, cause = max((one.waited(cause), cause) for cause in Cause)
    if share <= LITTLE:
        return []
    in_vain = indifferent(assessments)
    remedies = [remedy for field, remedy in REMEDIES[cause].items() if field not in in_vain]
    first = [f"Against the first: {'; '.join(remedies)}."] if remedies else []
    return [f"Why tasks wait under {one.candidate}: {_causes(one)}.", *first]


def _causes(one: Assessment) -> str:
    shares = sorted(((one.waited(cause), cause) for cause in Cause), reverse=True)
    said = [f"{cause} ({_share(share)} of the waiting)" for share, cause in shares if share > LITTLE]
    return ", ".join(said) or "the work alone takes so long"


def _idle(chosen: Assessment) -> list[str]:
    """Why workers are idle: they stay when all is done, or scale down slowly."""
    if chosen.waste < NOTABLE:
        return []
    policy = chosen.candidate.policy
    window = policy.scale_down.window if policy.scale_down else LEGACY_WINDOW
    if chosen.resting < chosen.waste / 2:
        why = f"the HPA keeps as many as it wished for at any time in the last {window:g} s (scaleDownWindow)"
    elif policy.min_replicas and policy.idle_replicas is None:
        why = f"when all is done, {policy.min_replicas} of them stay (minReplicaCount)"
    else:
        why = f"when all is done, they stay for the cooldownPeriod of {policy.cooldown_period:g} s"
    return [f"{_share(chosen.waste)} of what it costs is idle time: {why}."]


def _indifferent(assessments: Sequence[Assessment]) -> list[str]:
    return [f"{name} makes no difference here." for name in indifferent(assessments)]
