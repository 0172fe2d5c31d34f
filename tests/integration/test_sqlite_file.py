"""The SQLite file itself: what can be opened, what is refused in one sentence, and what only this adapter promises."""

import os
import resource
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from essaim.errors import SettingsError, UnavailableError
from essaim.jobs.adapters.sqlite.queue import open_sqlite_queue
from essaim.jobs.adapters.sqlite.store import open_sqlite_store
from essaim.jobs.events import JobRetried, to_event
from essaim.jobs.model import Depth, Job, Problem, State


def a_job(job_id: str = "job-1") -> Job:
    return Job(job_id, "ada", "r1", {"words": ["liberté"]}, "f" * 64, datetime.now(UTC))


async def opened(url: str) -> None:
    async with open_sqlite_store(url, 15.0):
        pass


async def test_a_relative_url_is_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await opened("sqlite:///some/new folder/essaim.db")
    assert (tmp_path / "some" / "new folder" / "essaim.db").is_file()


@pytest.mark.parametrize("name", ["100% #1?.db", "été.db", "a b.db"])
async def test_an_absolute_url_names_the_file_as_it_is(tmp_path: Path, name: str) -> None:
    await opened(f"sqlite:///{tmp_path}/{name}")
    assert (tmp_path / name).is_file()


@pytest.mark.parametrize(
    "url", ["sqlite://essaim.db", "sqlite:", "sqlite:///", "sqlite:///folder/", "sqlite:///:memory:", "other:///x"]
)
async def test_a_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="sqlite:///"):
        await opened(url)


async def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsError, match="cannot be made"):
        await opened(f"sqlite:///{tmp_path}/file/essaim.db")


async def test_a_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be opened"):
        await opened(f"sqlite:///{tmp_path}")


async def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    text = "dear diary, " * 1000
    (tmp_path / "essaim.db").write_text(text)
    with pytest.raises(SettingsError, match="cannot be opened"):
        await opened(f"sqlite:///{tmp_path}/essaim.db")
    assert (tmp_path / "essaim.db").read_text() == text


async def test_a_database_of_another_program_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE diary (day TEXT)")
    before = path.read_bytes()
    with pytest.raises(SettingsError, match="another program"):
        await opened(f"sqlite:///{path}")
    assert path.read_bytes() == before


async def test_a_file_of_a_newer_version_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "essaim.db"
    await opened(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 999")
    with pytest.raises(SettingsError, match="newer Essaim"):
        await opened(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as newer:
        assert newer.execute("PRAGMA user_version").fetchone() == (999,)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(SettingsError):
        await opened(f"sqlite:///{tmp_path}/locked/essaim.db")


async def test_what_a_newer_version_adds_is_not_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "essaim.db"
    async with open_sqlite_store(f"sqlite:///{path}", 15.0) as store:
        job = await store.submit(a_job())
        with closing(sqlite3.connect(path)) as newer, newer:
            newer.execute("ALTER TABLE jobs ADD COLUMN mood TEXT DEFAULT 'new'")
            newer.execute("""UPDATE jobs SET problem = '{"type": "t", "detail": "d", "hint": "new"}'""")
        found = await store.get(job.id)
        assert found.problem == Problem("t", "d")
        assert (await store.list()).jobs == [found]
        await store.submit(a_job("job-2"))


async def test_a_person_can_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "essaim.db"
    async with open_sqlite_store(f"sqlite:///{path}", 15.0) as store:
        job = await store.submit(a_job())
        with closing(sqlite3.connect(path)) as shell:
            assert shell.execute("SELECT request FROM payloads").fetchone() == ('{"words": ["liberté"]}',)
            created, state = shell.execute("SELECT created, state FROM jobs").fetchone()
    assert datetime.fromisoformat(created) == job.created
    assert state == "queued"


async def test_queue_and_store_share_a_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/essaim.db"
    async with open_sqlite_queue(url, "r1", 10) as queue, open_sqlite_store(url, 15.0) as store:
        await queue.publish([to_event(JobRetried("job-1", 2), "r1")])
        await store.submit(a_job())
        assert (await queue.depth(), await store.counts()) == (Depth(1, 0), {"r1": {State.QUEUED: 1}})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["essaim.db"]  # the log is gone with its last user


async def test_a_broken_file_is_unavailable_and_comes_back_when_it_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "essaim.db"
    async with open_sqlite_store(f"sqlite:///{path}", 15.0) as store:
        job = await store.submit(a_job())
        with closing(sqlite3.connect(path)) as other:
            other.execute("ALTER TABLE jobs RENAME TO elsewhere")
            with pytest.raises(UnavailableError, match=r"essaim\.db"):
                await store.get(job.id)
            with pytest.raises(UnavailableError, match=r"essaim\.db"):
                await store.cancel(job.id)
            other.execute("ALTER TABLE elsewhere RENAME TO jobs")
        assert await store.get(job.id) == job


async def test_a_full_disk_is_unavailable_and_nothing_is_half_written(tmp_path: Path) -> None:
    """A limit on the size of files fails a write in the middle, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with open_sqlite_store(f"sqlite:///{tmp_path}/essaim.db", 15.0) as store:
        await store.submit(a_job("first"))
        large = Job("large", "ada", "r1", {"text": "x" * 1_000_000}, "f" * 64, datetime.now(UTC))
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
        try:
            with pytest.raises(UnavailableError, match=r"essaim\.db"):
                await store.submit(large)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert await store.counts() == {"r1": {State.QUEUED: 1}}
        assert (await store.submit(large)).request == large.request


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "deleted and made again"])
async def test_a_deleted_file_is_unavailable_until_it_is_restored(tmp_path: Path, again: bool) -> None:
    """Else jobs would be accepted that nobody finds."""
    folder, aside = tmp_path / "data", tmp_path / "aside"
    url = f"sqlite:///{folder}/essaim.db"
    async with open_sqlite_queue(url, "r1", 10) as queue, open_sqlite_store(url, 15.0) as store:
        job = await store.submit(a_job())
        folder.rename(aside)
        if again:
            await opened(url)
        event = to_event(JobRetried("job-1", 2), "r1")
        for call in (queue.publish([event]), queue.depth(), store.submit(a_job("lost")), store.get(job.id)):
            with pytest.raises(UnavailableError, match="was deleted") as caught:
                await call
            assert caught.value.lasting
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
        assert await store.get(job.id) == job


async def test_the_log_does_not_grow_without_end(tmp_path: Path) -> None:
    path = tmp_path / "essaim.db"
    async with open_sqlite_queue(f"sqlite:///{path}", "r1", 100_000) as queue:
        events = [to_event(JobRetried("job-1", run), "r1") for run in range(1000)]
        sizes = []
        for _ in range(20):
            await queue.publish(events)
            sizes.append(path.with_name("essaim.db-wal").stat().st_size)
    assert max(sizes[10:]) <= 1.2 * max(sizes[:10])
