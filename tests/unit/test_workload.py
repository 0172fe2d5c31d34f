"""The word search as its worker calls it: on a real text store, through real attempts."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from jobs.adapters.texts.opening import open_texts
from jobs.errors import JobError, TooManyTasksError
from jobs.model import Text
from jobs.payload import MIB, Position, Request, Result, TaskInput, TaskResult, WordMatches
from jobs.ports import TextStore
from worker.attempt import Attempt, AttemptStopped, Texts
from worker.workload import Checkpoint, merge, run, split

T = TypeVar("T")
CHUNK = 8 * MIB


class Saved(NamedTuple):
    """The checkpoints of an attempt, with its progress at each."""

    progress: list[float]
    checkpoints: list[bytes]


class Ledger:
    """A text store that writes down what is read of another."""

    def __init__(self, store: TextStore) -> None:
        self._store = store
        self.put, self.open, self.stat, self.list, self.delete = (
            store.put,
            store.open,
            store.stat,
            store.list,
            store.delete,
        )
        self.reads: list[tuple[int, int]] = []

    async def read(self, name: str, start: int, end: int, *, etag: str | None = None) -> bytes:
        data = await self._store.read(name, start, end, etag=etag)
        self.reads.append((start, start + len(data)))
        return data

    @property
    def bytes_read(self) -> int:
        return sum(end - start for start, end in self.reads)


class House:
    """A text store in a folder, and the event loop that its calls cross to."""

    def __init__(self, store: TextStore, loop: asyncio.AbstractEventLoop) -> None:
        self.store = Ledger(store)
        self.loop = loop
        self.texts = Texts(self.store, loop)

    def wait(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self.loop).result()

    def put(self, name: str, data: bytes | str) -> Text:
        return self.wait(
            self.store.put(name, _chunks(data if isinstance(data, bytes) else data.encode()), limit=1 << 40)
        )

    def attempt(
        self,
        request: Request,
        task: TaskInput,
        *,
        checkpoint: bytes | None = None,
        on_save: Callable[[Attempt], Coroutine[Any, Any, object]] | None = None,
    ) -> tuple[TaskResult | None, Saved]:
        """Run one attempt. No result: it was stopped."""
        saved = Saved([], [])

        async def save(progress: float, checkpoint: bytes) -> None:
            saved.progress.append(progress)
            saved.checkpoints.append(checkpoint)
            if on_save is not None:
                await on_save(attempt)

        attempt = Attempt(number=1, checkpoint=checkpoint, texts=self.texts, save=save, loop=self.loop)
        try:
            return run(request, task, attempt), saved
        except AttemptStopped:
            return None, saved

    def job(self, request: Request) -> Result:
        """Split, run every task, merge."""

        def results() -> Iterator[TaskResult]:
            for task in split(request, self.texts):
                result, _ = self.attempt(request, task)
                assert result is not None
                yield TaskResult.model_validate_json(result.model_dump_json())

        return merge(request, results())


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _stop(attempt: Attempt) -> None:
    attempt.stop()


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with running_loop() as loop:
        opening = open_texts(tmp_path.as_uri(), "texts")
        store = asyncio.run_coroutine_threadsafe(opening.__aenter__(), loop).result()
        try:
            yield House(store, loop)
        finally:
            asyncio.run_coroutine_threadsafe(opening.__aexit__(None, None, None), loop).result()


def names(tasks: list[TaskInput]) -> list[str]:
    return [task.name for task in tasks]


# split


def test_texts_come_in_the_order_asked_for_each_once(house: House) -> None:
    for name in ("b/2", "b/1", "a", "c"):
        house.put(name, "swarm")
    tasks = split(Request(words=["x"], texts=["c", "b/*", "**"]), house.texts)
    assert names(tasks) == ["c", "b/1", "b/2", "a"]


def test_a_long_text_is_cut_into_pieces_without_a_gap(house: House) -> None:
    text = house.put("long", b"x" * 250)
    tasks = split(Request(words=["x"], texts=["long"], piece_bytes=100), house.texts)
    assert [(task.start, task.end) for task in tasks] == [(0, 100), (100, 200), (200, 250)]
    assert {task.etag for task in tasks} == {text.etag}


def test_an_empty_text_is_one_task(house: House) -> None:
    house.put("empty", b"")
    assert len(split(Request(words=["x"], texts=["empty"]), house.texts)) == 1
    assert house.job(Request(words=["x"], texts=["empty"])).texts["empty"].words == {}
    assert house.job(Request(words=["x"], text="")).counts == {"x": 0}


@pytest.mark.parametrize("name", ["absent", "absent/*", "../up", "a/**/z?"])
def test_a_name_that_means_no_text_fails_the_job_and_is_named(house: House, name: str) -> None:
    house.put("present", b"x")
    with pytest.raises(JobError) as raised:
        split(Request(words=["x"], texts=["present", name]), house.texts)
    assert name in str(raised.value)


def test_pieces_too_small_for_the_text_are_refused_before_they_are_made(house: House) -> None:
    house.put("large", b"x" * (7 * MIB))
    with pytest.raises(TooManyTasksError, match="piece_bytes"):
        split(Request(words=["x"], texts=["large"], piece_bytes=64), house.texts)


def test_a_word_of_which_nothing_is_left_fails_the_job(house: House) -> None:
    with pytest.raises(JobError, match="accents"):
        split(Request(words=["\u0301"], text="x", ignore_accents=True), house.texts)


# run


def test_a_job_finds_what_stands_where(house: House) -> None:
    house.put("hive", "A swarm.\nTwo swarms, one swarm.")
    house.put("garden", "no bees")
    result = house.job(Request(words=["swarm", "bees", "wasp"], texts=["hive", "garden"], positions=1))
    assert result.counts == {"swarm": 2, "bees": 1, "wasp": 0}
    assert result.texts["hive"].words == {
        "swarm": WordMatches(count=2, positions=[Position(line=1, column=3, snippet="A swarm.")])
    }
    assert list(result.texts["garden"].words) == ["bees"]


def test_the_request_s_own_text_is_called_text(house: House) -> None:
    result = house.job(Request(words=["\u00e9t\u00e9"], text="l'\u00c9t\u00e9", ignore_case=True))
    found = result.texts["text"].words["\u00e9t\u00e9"]
    assert found == WordMatches(count=1, positions=[Position(line=1, column=3, snippet="l'\u00c9t\u00e9")])


@pytest.mark.parametrize("piece_bytes", [64, 100, 1000])
def test_pieces_together_find_what_the_whole_finds(house: House, piece_bytes: int) -> None:
    text = "".join(f"{'ab' * (n % 7)}\u00e9aa aaa {n}{' ' if n % 5 else chr(10)}" for n in range(500))
    house.put("text", text.encode() + b"\xff\xe2\x82 aa")
    whole = Request(words=["aa", "aaa", "\u00e9a", "a a", "499"], texts=["text"], whole_words=False, positions=100)
    pieces = whole.model_copy(update={"piece_bytes": piece_bytes})
    assert len(split(pieces, house.texts)) > 5
    assert house.job(pieces) == house.job(whole)


def test_bytes_that_are_no_utf_8_are_searched_and_reported(house: House) -> None:
    house.put("bad", b"\xffbee\xc3 bee \xe2\x82bee\n\xed\xa0\x80 caf\xc3\xa9")
    result = house.job(Request(words=["bee", "caf\u00e9"], texts=["bad"], whole_words=False))
    assert result.counts == {"bee": 3, "caf\u00e9": 1}
    assert result.texts["bad"].invalid_bytes == 7
    assert result.texts["bad"].words["bee"].positions[0] == Position(
        line=1, column=2, snippet="\ufffdbee\ufffd bee \ufffd\ufffdbee"
    )


def test_an_attempt_saves_after_each_chunk_and_comes_to_its_end(house: House) -> None:
    house.put("text", b"swarm " * (20 * MIB // 6))
    request = Request(words=["swarm"], texts=["text"])
    [task] = split(request, house.texts)
    _, saved = house.attempt(request, task)
    places = [Checkpoint.model_validate_json(checkpoint).tally.at for checkpoint in saved.checkpoints]
    assert max(after - before for before, after in zip([0, *places], places, strict=False)) <= CHUNK + 1000
    assert saved.progress == sorted(saved.progress)
    assert saved.progress[-1] == 1.0


@pytest.mark.parametrize("saves", [1, 2])
def test_an_attempt_that_goes_on_reads_only_the_rest(house: House, saves: int) -> None:
    size = len(data := b"".join(b"%d swarm\n" % n for n in range(1_300_000)))
    house.put("text", data)
    request = Request(words=["swarm", "1299999"], texts=["text"])
    [task] = split(request, house.texts)
    whole, _ = house.attempt(request, task)

    async def stop_late(attempt: Attempt) -> None:
        nonlocal saves
        saves -= 1
        if not saves:
            attempt.stop()

    stopped, saved = house.attempt(request, task, on_save=stop_late)
    assert stopped is None
    at = Checkpoint.model_validate_json(saved.checkpoints[-1]).tally.at
    house.store.reads.clear()
    resumed, _ = house.attempt(request, task, checkpoint=saved.checkpoints[-1])
    assert resumed == whole
    assert min(start for start, _ in house.store.reads) > at - 10_000
    assert house.store.bytes_read < size - at + 10_000


def test_a_stopped_attempt_leaves_at_its_next_save(house: House) -> None:
    house.put("text", b"swarm " * (20 * MIB // 6))
    request = Request(words=["swarm"], texts=["text"])
    [task] = split(request, house.texts)
    result, saved = house.attempt(request, task, on_save=_stop)
    assert result is None
    assert len(saved.checkpoints) == 1


def test_a_stop_in_the_middle_of_a_chunk_ends_the_attempt(house: House) -> None:
    """The words overlap each other at every byte: a chunk of this takes minutes."""
    house.put("text", b"a" * CHUNK)
    request = Request(words=["a" * n for n in range(1, 200)], texts=["text"], whole_words=False)
    [task] = split(request, house.texts)
    attempt = Attempt(number=1, checkpoint=None, texts=house.texts, save=_never_saved, loop=house.loop)
    timer = threading.Timer(0.2, attempt.stop)
    timer.start()
    with pytest.raises(AttemptStopped):
        run(request, task, attempt)
    timer.join()


async def _never_saved(progress: float, checkpoint: bytes) -> None:
    raise AssertionError("the chunk cannot have been searched yet")


@pytest.mark.parametrize(("change", "sentence"), [("put", "changed while"), ("delete", "was deleted while")])
@pytest.mark.parametrize("when", ["before", "during"])
def test_a_text_that_does_not_stay_as_it_was_fails_the_job(house: House, change: str, sentence: str, when: str) -> None:
    house.put("text", b"swarm " * (60 * MIB // 6))
    request = Request(words=["swarm"], texts=["text"])
    _, task = split(request, house.texts)

    async def interfere(attempt: Attempt | None = None) -> None:
        if change == "delete":
            await house.store.delete("text")
        else:
            await house.store.put("text", _chunks(b"other"), limit=100)

    async def interfere_once(attempt: Attempt) -> None:
        nonlocal when
        if when == "during":
            when = "done"
            await interfere()

    if when == "before":
        house.wait(interfere())
    with pytest.raises(JobError, match=f"'text' {sentence} the job ran"):
        house.attempt(request, task, on_save=interfere_once)


# pause


def test_a_pause_is_slept_in_naps_that_are_saved() -> None:
    with running_loop() as loop:
        saved: list[float] = []

        async def save(progress: float, checkpoint: bytes) -> None:
            saved.append(Checkpoint.model_validate_json(checkpoint).slept)

        request = Request(words=["x"], text="x", pause_seconds=1.1)
        no_texts: Any = None
        attempt = Attempt(number=1, checkpoint=None, texts=no_texts, save=save, loop=loop)
        [task] = split(request, no_texts)
        assert run(request, task, attempt).words["x"].count == 1
        assert saved[:2] == [1.0, 1.1]


def test_an_attempt_that_goes_on_does_not_sleep_again(house: House) -> None:
    request = Request(words=["x"], text="x", pause_seconds=3600)
    [task] = split(request, house.texts)
    _, saved = house.attempt(request.model_copy(update={"pause_seconds": 0.01}), task)
    slept = Checkpoint.model_validate_json(saved.checkpoints[0]).model_copy(update={"slept": 3600.0})
    result, _ = house.attempt(request, task, checkpoint=slept.model_dump_json().encode())
    assert result is not None
    assert result.words["x"].count == 1


def test_a_pausing_attempt_can_be_stopped(house: House) -> None:
    request = Request(words=["x"], text="x", pause_seconds=3600)
    [task] = split(request, house.texts)
    attempt = Attempt(number=1, checkpoint=None, texts=house.texts, save=_never_saved, loop=house.loop)
    timer = threading.Timer(0.1, attempt.stop)
    timer.start()
    with pytest.raises(AttemptStopped):
        run(request, task, attempt)
    timer.join()


# merge


def piece(name: str, lines: int, last_line: int, *places: tuple[int, int], invalid: int = 0) -> TaskResult:
    positions = [Position(line=line, column=column, snippet="") for line, column in places]
    words = {"x": WordMatches(count=5, positions=positions)} if places else {}
    return TaskResult(name=name, words=words, lines=lines, last_line=last_line, invalid_bytes=invalid)


def test_lines_and_columns_of_later_pieces_count_from_their_text_s_start() -> None:
    pieces = [
        piece("a", 0, 7, (1, 2)),
        piece("a", 0, 4, (1, 1), invalid=1),
        piece("a", 2, 3, (1, 1), (2, 1)),
        piece("a", 1, 0, (1, 1), invalid=2),
        piece("b", 0, 0, (1, 1)),
    ]
    result = merge(Request(words=["x", "y"], texts=["*"], positions=100), iter(pieces))
    assert [(place.line, place.column) for place in result.texts["a"].words["x"].positions] == [
        (1, 2),
        (1, 8),
        (1, 12),
        (2, 1),
        (3, 4),
    ]
    assert [(place.line, place.column) for place in result.texts["b"].words["x"].positions] == [(1, 1)]
    assert result.texts["a"].invalid_bytes == 3
    assert result.counts == {"x": 25, "y": 0}


def test_a_merge_keeps_the_first_positions_and_every_text() -> None:
    pieces = [piece("a", 1, 0, (1, 1)), piece("a", 1, 0, (1, 1), (1, 9)), piece("b", 0, 0)]
    result = merge(Request(words=["x"], texts=["*"], positions=2), pieces)
    assert [place.line for place in result.texts["a"].words["x"].positions] == [1, 2]
    assert result.texts["b"].words == {}
