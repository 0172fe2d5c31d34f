"""Every log event with its fields. A test compares this table with the code and `docs/log-events.md`.

Lines about a job also have `job`, and those within an attempt `task` and `attempt`; over OTLP each has `release`, `event`, the
worker's or API's name, and its trace and span. Lines about a rollout have `rollout`, `new` and `old`.
"""

JOB, TASK, MESSAGE, WORKER = "Jobs", "Tasks", "Messages and queue", "Workers"
HTTP, ROLLOUT, REST = "HTTP", "Rollouts", "Backends and the rest"

EVENTS: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    JOB: {
        "job.submitted": ("The queue and the store have the job. The line has the time of the request.", ()),
        "job.announced": ("A message for each open task is on the queue.", ("tasks",)),
        "job.succeeded": ("The job has its result, `seconds` after its submission or last retry.", ("seconds",)),
        "job.failed": ("The job ended with a problem of this `kind`.", ("kind", "reason", "seconds")),
        "job.merging": ("All tasks have succeeded; their results are being merged.", ()),
        "job.merge_failed": ("The workload's `merge` raised an exception.", ()),
        "job.cancelled": ("A client cancelled the job.", ("job", "seconds")),
        "job.retried": ("A client retried the job, in this release; before, it was in release `was`.", ("run", "was")),
        "job.split_again": ("A retry found that an input has changed: run `run` splits the job anew.", ("run",)),
        "jobs.purged": ("Ended jobs were deleted after the retention time.", ("count",)),
        "callback.delivered": ("The receiver has acknowledged the callback.", ("run", "host", "status")),
        "callback.delayed": (
            "The callback was not acknowledged; next try in `seconds`.",
            ("run", "host", "reason", "seconds"),
        ),
        "callback.given_up": (
            "The callback is not retried any more, unless it is replayed.",
            ("run", "host", "reason"),
        ),
    },
    TASK: {
        "task.claimed": (
            "An attempt starts, `waited` seconds after the job was submitted or last retried.",
            ("waited",),
        ),
        "task.finished": ("The attempt finished the task.", ()),
        "task.stopped": ("The attempt ended early: `ended`, `lost` or `draining`.", ("reason",)),
        "task.rejected": (
            "The workload raised `JobError`, or an input has changed: the job fails without a retry.",
            ("reason",),
        ),
        "task.failed": ("The workload raised an exception, for the `failures`th time.", ("failures",)),
        "task.beat_missed": ("The lease could not be extended this time.", ("reason",)),
    },
    MESSAGE: {
        "message.delayed": ("A backend was unreachable; the message comes back soon.", ("reason",)),
        "message.obsolete": ("The job no longer exists, or now belongs to another release.", ("reason",)),
        "message.parked": ("The message is a dead letter now: see `essaim dead ls`.", ("reason",)),
        "messages.purged": ("Dead letters were deleted after the retention time.", ("count",)),
        "queue.depth": (
            "The length of the queue, and a sign of life of this worker or API; over OTLP only.",
            ("ready", "in_flight", "running"),
        ),
        "queue.available": ("The autoscaler can reach the queue again.", ()),
        "queue.unavailable": ("The queue cannot be reached.", ("reason",)),
        "queue.consumer_lost": ("The broker cancelled the consumer.", ("queue",)),
        "queue.consuming_again": ("Deliveries arrive again after a lost connection or consumer.", ("queue",)),
        "queue.in_flight_not_shown": (
            "The number of tasks that run here cannot be reported to the broker.",
            ("reason",),
        ),
        "queue.timeout_ignored": (
            "RabbitMQ before 3.11.15 takes deliveries back after `consumer_timeout`: set it in its `rabbitmq.conf`.",
            ("version",),
        ),
        "queue.kept_as_it_is": ("The queue exists with other arguments, and keeps them.", ("queue", "reason")),
        "queue.notifications_lost": ("Some notifications were lost.", ("count", "reason")),
        "delivery.adopted": (
            "The broker redelivered a message to the worker that is still running its task.",
            ("queue",),
        ),
        "delivery.came_back": ("A delivery could not be settled; the broker will redeliver it.", ("reason",)),
        "consumer.renewal_missed": ("The SQLite file was busy for too long.", ("reason",)),
    },
    WORKER: {
        "worker.started": ("The worker takes deliveries.", ("worker", "release")),
        "worker.draining": ("The worker takes no more deliveries and stops its attempts.", ("worker", "running")),
        "worker.left": ("The worker has released its deliveries and exits.", ("worker",)),
        "worker.report_missed": ("The worker could not report to the store that it is alive.", ("reason",)),
        "worker.crashed": ("A local worker's process exited unexpectedly.", ("worker", "exit", "restart_in")),
        "worker.not_started": ("A local worker's process could not start.", ("worker", "reason")),
        "worker.lost": ("The supervisor lost track of a process.", ("worker",)),
        "workers.scaled": ("The local autoscaler changed the number of workers.", ("before", "after", "reason")),
        "workers.unknown": ("The supervisor does not know which workers are busy.", ("reason",)),
        "pod.cost_shown": ("The pod's deletion cost is up to date again.", ("cost",)),
        "pod.cost_missed": ("The pod's deletion cost could not be updated.", ("reason",)),
        "supervisor.failed": ("A bug in this software.", ()),
    },
    HTTP: {
        "api.listening": ("The API answers requests.", ("address",)),
        "api.draining": ("The API takes no new requests and finishes open ones.", ()),
        "http.answered": (
            "A request was answered; at level DEBUG.",
            ("request", "method", "path", "status", "seconds"),
        ),
        "http.cut": ("A response broke off.", ("reason", "request")),
        "http.failed": ("A bug in this software: 500.", ("request",)),
        "http.refused": ("A backend is unreachable: 503.", ("reason",)),
        "http.stream_ended": ("An event stream ended early.", ("job", "reason")),
        "split.changed": ("The releases on one machine get new shares of the requests.", ("shares",)),
        "split.unreadable": ("The shares of the requests cannot be read; the last ones stay.", ("reason",)),
        "release.away": ("A release's API does not answer: 503.", ("revision", "reason")),
        "release.broke_off": (
            "A release's API broke off in the middle of a response: 502, or cut.",
            ("revision", "reason"),
        ),
    },
    ROLLOUT: {
        "rollout.started": ("A rollout from `old` to `new` started.", ("steps", "holder")),
        "rollout.taken_up": ("Another process resumed the rollout.", ("holder", "phase", "percent")),
        "rollout.waiting": ("Nothing to do yet.", ("phase", "percent", "reason")),
        "rollout.noted": ("A check on the way is done.", ("phase", "reason")),
        "rollout.stepped": ("The rollout entered the next phase or step.", ("phase", "percent", "reason")),
        "rollout.judged": (
            "The decision from the ended jobs: `advance`, `wait` or `roll back`.",
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
        "rollout.paused": ("Somebody paused the rollout.", ("holder", "percent")),
        "rollout.resumed": ("Somebody resumed the rollout.", ("holder", "percent")),
        "rollout.promoted": ("All requests go to `new`.", ("percent", "reason")),
        "rollout.rolled_back": ("All requests go to `old`.", ("percent", "reason")),
        "rollout.aborted": ("Somebody aborted the rollout: all requests go to `old`.", ("percent", "reason")),
    },
    REST: {
        "backend.awaited": ("At start, the backend does not answer yet.", ("backend", "reason")),
        "backend.silent": ("The backend did not answer a check of the API's readiness.", ("backend", "reason")),
        "backend.reached": ("The backend answers.", ("backend",)),
        "store.index_refused": ("The server does not support this index; it is not used.", ("collection", "reason")),
        "telemetry.lost": ("The collector did not take these records in time.", ("count",)),
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
