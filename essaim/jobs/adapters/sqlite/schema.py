"""The tables in the file. `user_version` counts the steps that it has taken; a step that was released never changes.

Times are ISO 8601 text in UTC with microseconds, so they sort as text and a person can read them. What is large and
seldom changes (`payloads`) lies apart from what changes with every beat. Counters are kept by triggers: no query
counts rows that grow with the number of jobs, messages or tasks.
"""

_QUEUE = (
    # A consumer that does not renew itself is deleted by the others, and its messages are free again.
    "CREATE TABLE consumers (id TEXT PRIMARY KEY, seen TEXT NOT NULL)",
    """
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        release TEXT NOT NULL,
        due TEXT,
        consumer TEXT REFERENCES consumers (id) ON DELETE SET NULL,
        body BLOB NOT NULL
    )
    """,
    "CREATE INDEX messages_ready ON messages (release, id) WHERE consumer IS NULL AND due IS NULL",
    "CREATE INDEX messages_delayed ON messages (release, due) WHERE due IS NOT NULL",
    "CREATE INDEX messages_held ON messages (consumer, release) WHERE consumer IS NOT NULL",
    "CREATE TABLE queues (release TEXT PRIMARY KEY, length INTEGER NOT NULL)",
    """
    CREATE TRIGGER messages_added AFTER INSERT ON messages BEGIN
        INSERT INTO queues (release, length) VALUES (new.release, 1)
            ON CONFLICT (release) DO UPDATE SET length = length + 1;
    END
    """,
    """
    CREATE TRIGGER messages_removed AFTER DELETE ON messages BEGIN
        UPDATE queues SET length = length - 1 WHERE release = old.release;
    END
    """,
    """
    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        release TEXT NOT NULL,
        reason TEXT NOT NULL,
        parked TEXT NOT NULL,
        body BLOB NOT NULL
    )
    """,
    "CREATE INDEX dead_letters_of_release ON dead_letters (release, id)",
)

_JOBS = (
    """
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        release TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        created TEXT NOT NULL,
        state TEXT NOT NULL,
        run INTEGER NOT NULL,
        started TEXT,
        ended TEXT,
        tasks INTEGER,
        tasks_ended INTEGER NOT NULL DEFAULT 0,
        progress_sum REAL NOT NULL DEFAULT 0,
        problem TEXT
    )
    """,
    "CREATE INDEX jobs_by_state ON jobs (state, created, id)",
    "CREATE INDEX jobs_by_release ON jobs (release, state, created, id)",
    "CREATE INDEX jobs_ended ON jobs (ended) WHERE ended IS NOT NULL",
    """
    CREATE TABLE payloads (
        job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
        request TEXT NOT NULL,
        result BLOB
    )
    """,
    "CREATE TABLE counts (release TEXT, state TEXT, jobs INTEGER NOT NULL, PRIMARY KEY (release, state))",
    """
    CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
        INSERT INTO counts (release, state, jobs) VALUES (new.release, new.state, 1)
            ON CONFLICT (release, state) DO UPDATE SET jobs = jobs + 1;
    END
    """,
    """
    CREATE TRIGGER jobs_moved AFTER UPDATE OF state ON jobs WHEN old.state <> new.state BEGIN
        UPDATE counts SET jobs = jobs - 1 WHERE release = old.release AND state = old.state;
        INSERT INTO counts (release, state, jobs) VALUES (new.release, new.state, 1)
            ON CONFLICT (release, state) DO UPDATE SET jobs = jobs + 1;
    END
    """,
    """
    CREATE TRIGGER jobs_removed AFTER DELETE ON jobs BEGIN
        UPDATE counts SET jobs = jobs - 1 WHERE release = old.release AND state = old.state;
    END
    """,
)

_TASKS = (
    """
    CREATE TABLE tasks (
        job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'queued',
        attempts INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        lost INTEGER NOT NULL DEFAULT 0,
        progress REAL NOT NULL DEFAULT 0,
        worker TEXT,
        lease_until TEXT,
        started TEXT,
        ended TEXT,
        problem TEXT,
        input BLOB,
        checkpoint BLOB,
        result BLOB,
        PRIMARY KEY (job_id, number)
    )
    """,
    """
    CREATE TRIGGER tasks_moved AFTER UPDATE OF state, progress ON tasks
    WHEN old.state <> new.state OR old.progress <> new.progress BEGIN
        UPDATE jobs SET
            progress_sum = progress_sum + new.progress - old.progress,
            tasks_ended = tasks_ended + (new.state IN ('succeeded', 'failed', 'cancelled'))
                - (old.state IN ('succeeded', 'failed', 'cancelled'))
        WHERE id = new.job_id;
    END
    """,
    """
    CREATE TABLE workers (
        id TEXT PRIMARY KEY,
        release TEXT NOT NULL,
        started TEXT NOT NULL,
        seen TEXT NOT NULL,
        concurrency INTEGER NOT NULL,
        tasks TEXT NOT NULL
    )
    """,
)

_CALLBACKS = ("ALTER TABLE jobs ADD COLUMN callback TEXT", "ALTER TABLE jobs ADD COLUMN traceparent TEXT")

_RELEASES = (  # a job may go to another release without a change of its state
    "DROP TRIGGER jobs_moved",
    """
    CREATE TRIGGER jobs_moved AFTER UPDATE OF state, release ON jobs
    WHEN old.state <> new.state OR old.release <> new.release BEGIN
        UPDATE counts SET jobs = jobs - 1 WHERE release = old.release AND state = old.state;
        INSERT INTO counts (release, state, jobs) VALUES (new.release, new.state, 1)
            ON CONFLICT (release, state) DO UPDATE SET jobs = jobs + 1;
    END
    """,
)

_SPLITS = (
    "ALTER TABLE jobs ADD COLUMN split_in INTEGER",
    "ALTER TABLE jobs ADD COLUMN retried TEXT",
    "ALTER TABLE tasks ADD COLUMN splits INTEGER NOT NULL DEFAULT 0",  # claims that split the job
    "UPDATE jobs SET split_in = 1 WHERE tasks IS NOT NULL",
)

_DELAYS = ("ALTER TABLE messages ADD COLUMN delayed TEXT",)  # when the delay began

_MERGES = (  # who merges a job has a lease of its own; one that is there and has run out is a lost attempt
    "ALTER TABLE jobs ADD COLUMN merge_attempts INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN merge_lost INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN merge_lease_until TEXT",
)

STEPS = ((*_QUEUE, *_JOBS, *_TASKS), _CALLBACKS, _RELEASES, _SPLITS, _DELAYS, _MERGES)
