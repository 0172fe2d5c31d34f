"""An attempt saves where it is, can be stopped, and goes on from there."""

import threading
from typing import Any

import pytest

from essaim_words.matching import MARK_BYTES
from essaim_words.payload import MIB, Request
from essaim_words.workload import Checkpoint, run, split
from essaim_worker.attempt import Attempt, AttemptStopped
from workloads.words.tests.conftest import Library, running_loop

CHUNK = 8 * MIB


async def _stop(attempt: Attempt) -> None:
    attempt.stop()


def _stop_after(seconds: float, library: Library, request: Request) -> None:
    """Run an attempt that is stopped then, and leaves without having saved."""
    [task] = split(request, library.texts)
    attempt = Attempt(number=1, checkpoint=None, texts=library.texts, save=_never_saved, loop=library.loop)
    timer = threading.Timer(seconds, attempt.stop)
    timer.start()
    with pytest.raises(AttemptStopped):
        run(request, task, attempt)
    timer.join()


async def _never_saved(progress: float, checkpoint: bytes) -> None:
    raise AssertionError("the chunk cannot have been searched yet")


def test_an_attempt_saves_after_each_chunk_and_comes_to_its_end(library: Library) -> None:
    library.put("text", b"swarm " * (20 * MIB // 6))
    request = Request(words=["swarm"], texts=["text"])
    [task] = split(request, library.texts)
    _, saved = library.attempt(request, task)
    places = [Checkpoint.model_validate_json(checkpoint).tally.at for checkpoint in saved.checkpoints]
    assert max(after - before for before, after in zip([0, *places], places, strict=False)) <= CHUNK + 1000
    assert saved.progress == sorted(saved.progress)
    assert saved.progress[-1] == 1.0


@pytest.mark.parametrize("saves", [1, 2])
def test_an_attempt_that_goes_on_reads_only_the_rest(library: Library, saves: int) -> None:
    size = len(data := b"".join(b"%d swarm\n" % n for n in range(1_300_000)))
    library.put("text", data)
    request = Request(words=["swarm", "1299999"], texts=["text"])
    [task] = split(request, library.texts)
    whole, _ = library.attempt(request, task)

    async def stop_late(attempt: Attempt) -> None:
        nonlocal saves
        saves -= 1
        if not saves:
            attempt.stop()

    stopped, saved = library.attempt(request, task, on_save=stop_late)
    assert stopped is None
    at = Checkpoint.model_validate_json(saved.checkpoints[-1]).tally.at
    library.store.reads.clear()
    resumed, _ = library.attempt(request, task, checkpoint=saved.checkpoints[-1])
    assert resumed == whole
    assert min(start for start, end in library.store.reads if end > MARK_BYTES) > at - 10_000
    assert library.store.bytes_read < size - at + 10_000


def test_a_stopped_attempt_leaves_at_its_next_save(library: Library) -> None:
    library.put("text", b"swarm " * (20 * MIB // 6))
    request = Request(words=["swarm"], texts=["text"])
    [task] = split(request, library.texts)
    result, saved = library.attempt(request, task, on_save=_stop)
    assert result is None
    assert len(saved.checkpoints) == 1


def test_a_stop_in_the_middle_of_a_chunk_ends_the_attempt(library: Library) -> None:
    """The words overlap each other at every byte: a chunk of this takes minutes."""
    library.put("text", b"a" * CHUNK)
    request = Request(words=["a" * n for n in range(1, 200)], texts=["text"], whole_words=False)
    _stop_after(0.2, library, request)


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


def test_an_attempt_that_goes_on_does_not_sleep_again(library: Library) -> None:
    request = Request(words=["x"], text="x", pause_seconds=3600)
    [task] = split(request, library.texts)
    _, saved = library.attempt(request.model_copy(update={"pause_seconds": 0.01}), task)
    slept = Checkpoint.model_validate_json(saved.checkpoints[0]).model_copy(update={"slept": 3600.0})
    result, _ = library.attempt(request, task, checkpoint=slept.model_dump_json().encode())
    assert result is not None
    assert result.words["x"].count == 1


def test_a_pausing_attempt_can_be_stopped(library: Library) -> None:
    request = Request(words=["x"], text="x", pause_seconds=3600)
    _stop_after(0.1, library, request)


def test_a_stop_is_noticed_while_marks_without_end_are_read(library: Library) -> None:
    """Nothing can be searched before the marks end; what is read until then must not keep the attempt."""
    library.put("text", "e\u0301".encode() + "\u0301".encode() * (20 * MIB))
    request = Request(words=["ee"], texts=["text"], ignore_accents=True, piece_bytes=64 * MIB)
    [task] = split(request, library.texts)
    attempt = Attempt(number=1, checkpoint=None, texts=library.texts, save=_never_saved, loop=library.loop)
    attempt.stop()
    library.store.reads.clear()
    with pytest.raises(AttemptStopped):
        run(request, task, attempt)
    assert library.store.bytes_read < 4 * CHUNK
