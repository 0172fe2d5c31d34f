"""Every event that is logged, with its fields: the one table, which a test compares with the code and `docs/log-events.md`.

Lines about a job also have `job`, and those within an attempt `task` and `attempt`; over OTLP each has `release`, `event`, the
worker's or API's name, and its trace and span. Lines about a rollout have `rollout`, `new` and `old`.
"""

JOB, TASK, MESSAGE, WORKER = "Jobs", "Tasks", "Messages and queue", "Workers"
HTTP, ROLLOUT, REST = "HTTP", "Rollouts", "Backends and the rest"

EVENTS: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    JOB: {
        "job.submitted": ("The queue and the store have it. Its time is that of the request.", ()),
        "job.announced": ("A message for each open task is on the queue.", ("tasks",)),
        "job.succeeded": ("It has its result, `seconds` after its submission or last retry.", ("seconds",)),
        "job.failed": ("It has ended with a problem of this `kind`.", ("kind", "reason", "seconds")),
        "job.merging": ("All its tasks have succeeded; their results are being merged.", ()),
        "job.merge_failed": ("The workload's `merge` raised.", ()),
        "job.cancelled": ("A client wanted no more of it.", ("job", "seconds")),
        "job.retried": ("A client had it run again, here; before, it was the release's `was`.", ("run", "was")),
        "job.split_again": ("A retry has found that an input changed: run `run` splits it anew.", ("run",)),
        "jobs.purged": ("Ended jobs were deleted after the retention.", ("count",)),
        "callback.delivered": ("The receiver knows that the job has ended.", ("run", "host", "status")),
        "callback.delayed": ("It does not know it yet; next try in `seconds`.", ("run", "host", "reason", "seconds")),
        "callback.given_up": ("It will not be tried again by itself.", ("run", "host", "reason")),
    },
    TASK: {
        "task.claimed": (
            "An attempt begins, `waited` seconds after the job was submitted or last retried.",
            ("waited",),
        ),
        "task.finished": ("The attempt's result counts.", ()),
        "task.stopped": ("The attempt ended early: `ended`, `lost` or `draining`.", ("reason",)),
        "task.rejected": (
            "The workload raised `JobError`, or an input changed: no other attempt could succeed.",
            ("reason",),
        ),
        "task.failed": ("The workload raised, for the `failures`th time.", ("failures",)),
        "task.beat_missed": ("The lease could not be extended just now.", ("reason",)),
    },
    MESSAGE: {
        "message.delayed": ("A backend was away; it comes back soon.", ("reason",)),
        "message.obsolete": ("Its job is gone, or another release's by now.", ("reason",)),
        "message.parked": ("A person must look: `essaim dead ls`.", ("reason",)),
        "messages.purged": ("Parked messages were deleted after the retention.", ("count",)),
        "queue.depth": (
            "How full it is, and that this worker or API lives; with OTLP only.",
            ("ready", "in_flight", "running"),
        ),
        "queue.available": ("The autoscaler can ask it again.", ()),
        "queue.unavailable": ("It cannot be asked or consumed.", ("reason",)),
        "queue.consumer_lost": ("The broker has cancelled the consumer.", ("queue",)),
        "queue.consuming_again": ("After a lost connection or consumer.", ("queue",)),
        "queue.in_flight_not_shown": ("Others do not see what is worked on here.", ("reason",)),
        "queue.timeout_ignored": (
            "RabbitMQ before 3.11.15 takes deliveries back after `consumer_timeout`: set it in its `rabbitmq.conf`.",
            ("version",),
        ),
        "queue.kept_as_it_is": ("It exists with other arguments.", ("queue", "reason")),
        "queue.notifications_lost": ("Listeners have missed some.", ("count", "reason")),
        "delivery.adopted": (
            "The broker took a delivery back whose work goes on, and delivered it again to the same worker.",
            ("queue",),
        ),
        "delivery.came_back": ("It could not be settled; the broker delivers it again.", ("reason",)),
        "consumer.renewal_missed": ("The SQLite file was busy for too long.", ("reason",)),
    },
    WORKER: {
        "worker.started": ("It takes deliveries.", ("worker", "release")),
        "worker.draining": ("It takes no more, and stops what runs.", ("worker", "running")),
        "worker.left": ("It has given back all it had.", ("worker",)),
        "worker.report_missed": ("The store does not know that it lives.", ("reason",)),
        "worker.crashed": ("A local worker's process ended by itself.", ("worker", "exit", "restart_in")),
        "worker.not_started": ("A local worker's process could not start.", ("worker", "reason")),
        "worker.lost": ("The supervisor lost sight of a process.", ("worker",)),
        "workers.scaled": ("The local autoscaler wants another number.", ("before", "after", "reason")),
        "workers.unknown": ("The supervisor does not know which are busy.", ("reason",)),
        "pod.cost_shown": ("Kubernetes knows again how busy the pod is.", ("cost",)),
        "pod.cost_missed": ("It does not know it.", ("reason",)),
        "supervisor.failed": ("A mistake of ours.", ()),
    },
    HTTP: {
        "api.listening": ("Requests are answered.", ("address",)),
        "api.draining": ("New ones are not.", ()),
        "http.answered": ("At DEBUG.", ("request", "method", "path", "status", "seconds")),
        "http.cut": ("An answer could not be finished.", ("reason", "request")),
        "http.failed": ("A mistake of ours: 500.", ("request",)),
        "http.refused": ("A backend is away: 503.", ("reason",)),
        "http.stream_ended": ("An event stream could not go on.", ("job", "reason")),
        "split.changed": ("Releases on one machine share the requests so from now on.", ("shares",)),
        "split.unreadable": ("They go on as before.", ("reason",)),
        "release.away": ("Its API does not answer: 503.", ("revision", "reason")),
        "release.broke_off": ("Its API ended in the middle of an answer: 502, or cut.", ("revision", "reason")),
    },
    ROLLOUT: {
        "rollout.started": ("`new` is to take over from `old`.", ("steps", "holder")),
        "rollout.taken_up": ("Somebody goes on with it.", ("holder", "phase", "percent")),
        "rollout.waiting": ("Nothing to do but to look again.", ("phase", "percent", "reason")),
        "rollout.noted": ("Something on the way is done.", ("phase", "reason")),
        "rollout.stepped": ("It is in the next phase, or at the next step.", ("phase", "percent", "reason")),
        "rollout.judged": (
            "What the jobs that have ended say: `advance`, `wait` or `roll back`.",
            (
                "decision",
                "percent",
                "reason",
                "look",
                "needed",
                "chance_of_failures",
                "chance_of_durations",
                "old_ended",
                "old_failed",
                "old_median_seconds",
                "new_ended",
                "new_failed",
                "new_median_seconds",
            ),
        ),
        "rollout.paused": ("A person wants no step forward.", ("holder", "percent")),
        "rollout.resumed": ("A person has looked.", ("holder", "percent")),
        "rollout.promoted": ("All requests go to `new`.", ("percent", "reason")),
        "rollout.rolled_back": ("All requests go to `old`.", ("percent", "reason")),
        "rollout.aborted": ("The same, because a person wanted it.", ("percent", "reason")),
    },
    REST: {
        "backend.awaited": ("At start, it does not answer yet.", ("backend", "reason")),
        "backend.silent": ("An API that was asked whether it is ready has had no answer of it.", ("backend", "reason")),
        "backend.reached": ("It answers now.", ("backend",)),
        "store.index_refused": ("The server cannot have this index; done without.", ("collection", "reason")),
        "telemetry.lost": ("Records that the collector did not take in time.", ("count",)),
        "span.ended": (
            "A span, with its own attributes; over OTLP only.",
            ("span", "kind", "seconds", "status", "parent", "links"),
        ),
    },
}


def page() -> str:
    """`docs/log-events.md`."""
    assert __doc__  # noqa: S101  # not under -OO
    lines = [
        "# Log events",
        "",
        "Every line that API and workers log has one of these names.",
        *__doc__.splitlines()[1:],
    ]
    for title, events in EVENTS.items():
        lines += ["", f"## {title}", "", "| Event | Meaning | Fields |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {meaning} | {', '.join(f'`{field}`' for field in fields)} |"
            for name, (meaning, fields) in events.items()
        ]
    return "\n".join(lines) + "\n"
