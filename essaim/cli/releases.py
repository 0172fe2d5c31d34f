"""`essaim releases`: what each release still has to do, and which can be removed."""

from typing import Any

from essaim.cli.options import DEFAULT_SERVER, Json, Server, Token
from essaim.cli.output import document, table
from essaim.cli.running import with_client
from essaim.jobs.model import State

JsonObject = dict[str, Any]


def releases(server: Server = DEFAULT_SERVER, token: Token = "", as_json: Json = False) -> None:
    """Show what each release still has to do, and whether it can be removed.

    A release can be removed if it is not the one that answers, has no queued or running jobs, and no workers. (A queue with
    messages has workers.) Only the queue of the answering release is shown. Removing a queue removes its dead letters, so
    check them first, with --server set to that release's own address. README.md says how to remove a release from a cluster.

    Example: essaim releases --json
    """
    stats = with_client(server, token, lambda client: client.get("/v1/stats"))
    workers = with_client(server, token, lambda client: client.get("/v1/workers"))["workers"]
    found = summarize(stats, [worker["release"] for worker in workers])
    if as_json:
        return document({"releases": found})
    numbers = ("ready", "in flight", *State, "workers")
    table(("release", *numbers, "can be removed"), [_row(release) for release in found], right=numbers)


def summarize(stats: JsonObject, workers: list[str]) -> list[JsonObject]:
    """The releases by name. `queue` is null if it is unknown."""
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
    return (
        release["release"],
        queue["ready"],
        queue["in_flight"],
        *release["jobs"].values(),
        release["workers"],
        "yes" if release["removable"] else "no",
    )
