"""`essaim releases`: what each release still has to do, and which can be taken away."""

from typing import Any

from essaim.cli.options import DEFAULT_SERVER, Json, Server, Token
from essaim.cli.output import document, table
from essaim.cli.running import ask
from essaim.jobs.model import State

JsonObject = dict[str, Any]


def releases(server: Server = DEFAULT_SERVER, token: Token = "", as_json: Json = False) -> None:
    """Show what each release still has to do, and whether it can be removed.

    A release can be removed when it is not the one that answers, none of its jobs is queued or running, and none of its workers
    lives: a queue that holds something has workers. Only the answering release's queue can be looked at from here.
    Dead letters go with their queue, so look at them first, with --server at that release's own address. In a cluster,
    README.md says how to remove a release by its label.

    Example: essaim releases --json
    """
    stats = ask(server, token, lambda client: client.get("/v1/stats"))
    workers = ask(server, token, lambda client: client.get("/v1/workers"))["workers"]
    found = summarize(stats, [worker["release"] for worker in workers])
    if as_json:
        return document({"releases": found})
    numbers = ("ready", "in flight", *State, "workers")
    table(("release", *numbers, "can be removed"), [_row(release) for release in found], right=numbers)


def summarize(stats: JsonObject, workers: list[str]) -> list[JsonObject]:
    """By name. `queue` is null where it is not known."""
    found = []
    for name in sorted({stats["release"], *stats["jobs"], *workers}):
        own = name == stats["release"]
        jobs = {state.value: stats["jobs"].get(name, {}).get(state, 0) for state in State}
        working = workers.count(name)
        idle = not working and not any(jobs[state] for state in State if not state.ended)
        queue = stats["queue"] if own else None
        found.append({"release": name, "queue": queue, "jobs": jobs, "workers": working, "removable": idle and not own})
    return found


def _row(release: JsonObject) -> tuple[object, ...]:
    queue = release["queue"] or {"ready": "–", "in_flight": "–"}
    verdict = "yes" if release["removable"] else "no"
    return (
        release["release"],
        queue["ready"],
        queue["in_flight"],
        *release["jobs"].values(),
        release["workers"],
        verdict,
    )
