"""Word search: how a job is split, what a task does, and how the results come together.

Plain blocking code: a worker calls each function in a thread of its own. `run` may be killed at any line, and is then called
again with what it last saved; `split` and `merge` are simply called again.
"""

from collections.abc import Callable, Iterable, Iterator

from pydantic import BaseModel

from essaim.errors import JobError, TextChangedError, TooManyTasksError
from essaim_words.matching import MARK_BYTES, Encoding, Piece, Tally, Words, search
from essaim_words.payload import MIB, Position, Request, Result, TaskInput, TaskResult, TextMatches, WordMatches
from essaim_worker.attempt import Attempt, Texts

_CHUNK = 8 * MIB  # read at a time, and at most done again by the next attempt
_NAP = 1.0  # seconds of a pause between two checkpoints
_MOST_TASKS = 100_000  # small pieces of large texts would fill the memory before the worker could count them

Reader = Callable[[int, int], Iterator[bytes]]  # gives the bytes from an offset to another in chunks


class Checkpoint(BaseModel):
    """What `run` saves: how much of its pause is over, and what it has found so far."""

    slept: float = 0.0
    tally: Tally


def split(request: Request, texts: Texts) -> list[TaskInput]:
    """Each text once, in the order asked for, in pieces of `piece_bytes`."""
    _words(request)  # what fails here would fail in every task
    whole = _texts(request, texts)
    count = sum(max(1, -(-text.end // request.piece_bytes)) for text in whole)
    if count > _MOST_TASKS:
        raise TooManyTasksError(f"{count} tasks are more than {_MOST_TASKS}: give a larger `piece_bytes`")
    return [
        TaskInput(name=text.name, etag=text.etag, start=start, end=min(start + request.piece_bytes, text.end))
        for text in whole
        for start in range(0, max(1, text.end), request.piece_bytes)
    ]


def run(request: Request, task: TaskInput, attempt: Attempt) -> TaskResult:
    """Find the words in one piece of a text, from the last checkpoint on."""
    words = _words(request)
    state = Checkpoint(tally=Tally.start(task.start, words.count))
    if attempt.checkpoint:
        state = Checkpoint.model_validate_json(attempt.checkpoint)
    while (nap := min(_NAP, request.pause_seconds - state.slept)) > 0:
        attempt.sleep(nap)
        state.slept += nap
        attempt.save(_progress(request, task, state), state)
    size, read = _open(request, task, attempt.texts)
    encoding = Encoding.of(b"".join(read(0, min(MARK_BYTES, size))))
    for is_chunk_done in search(words, state.tally, Piece(task.end, size, request.positions, encoding), read):
        attempt.check()
        if is_chunk_done:
            attempt.save(_progress(request, task, state), state)
    tally, found = state.tally, {}
    for word, number in words.number.items():
        if tally.counts[number]:
            places = [Position(**place._asdict()) for place in tally.places[number]]
            found[word] = WordMatches(count=tally.counts[number], positions=places)
    return TaskResult(
        name=task.name,
        words=found,
        encoding=encoding.name,
        invalid_bytes=tally.invalid_bytes,
        lines=tally.lines,
        last_line=tally.last_line,
    )


def merge(request: Request, results: Iterable[TaskResult]) -> Result:
    """Add up the pieces, which come in order; lines and columns then count from each text's start."""
    total = Result(counts=dict.fromkeys(request.words, 0), texts={})
    name, lines, last_line = None, 0, 0
    for piece in results:
        if piece.name != name:
            name, lines, last_line = piece.name, 0, 0
        text = total.texts.setdefault(piece.name or "text", TextMatches(words={}))
        text.encoding = piece.encoding
        text.invalid_bytes += piece.invalid_bytes
        for word, found in piece.words.items():
            total.counts[word] += found.count
            matches = text.words.setdefault(word, WordMatches(positions=[]))
            matches.count += found.count
            for place in found.positions[: request.positions - len(matches.positions)]:
                column = place.column + (last_line if place.line == 1 else 0)
                matches.positions.append(Position(line=lines + place.line, column=column, snippet=place.snippet))
        lines += piece.lines
        last_line = piece.last_line + (0 if piece.lines else last_line)
    return total


def _words(request: Request) -> Words:
    return Words(request.words, **request.model_dump(include={"ignore_case", "ignore_accents", "whole_words"}))


def _texts(request: Request, texts: Texts) -> list[TaskInput]:
    """The texts, each as one piece. The request's own has no name."""
    if request.text is not None:
        return [TaskInput(name="", etag="", start=0, end=len(request.text.encode()))]
    found: dict[str, TaskInput] = {}
    for name in dict.fromkeys(request.texts):
        matching = list(texts.list(name))
        if not matching:
            raise JobError(f"there is no text {name!r}")
        for text in matching:
            found.setdefault(text.name, TaskInput(name=text.name, etag=text.etag, start=0, end=text.size))
    return list(found.values())


def _open(request: Request, task: TaskInput, texts: Texts) -> tuple[int, Reader]:
    """The size of the task's text, and how to read it."""
    if request.text is not None:
        own = request.text.encode()
        return len(own), lambda first, last: (own[at : min(at + _CHUNK, last)] for at in range(first, last, _CHUNK))
    text = texts.stat(task.name)
    if text.etag != task.etag:
        raise TextChangedError(f"{task.name!r} is no longer the version that was asked for")

    def read(first: int, last: int) -> Iterator[bytes]:
        for _, chunk in texts.chunks(task.name, first, last, etag=task.etag, size=_CHUNK):
            yield chunk

    return text.size, read


def _progress(request: Request, task: TaskInput, state: Checkpoint) -> float:
    searched = min(1.0, (state.tally.at - task.start) / max(1, task.end - task.start))
    slept = min(1.0, state.slept / request.pause_seconds) if request.pause_seconds else searched
    return (slept + searched) / 2
