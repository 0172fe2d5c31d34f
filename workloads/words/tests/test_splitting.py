"""A job becomes tasks: texts in the order asked for, long ones in pieces."""

import pytest

from essaim.errors import JobError, TooManyTasksError
from essaim_words.payload import MIB, Request, TaskInput
from essaim_words.workload import split
from workloads.words.tests.conftest import Library


def names(tasks: list[TaskInput]) -> list[str]:
    return [task.name for task in tasks]


def test_texts_come_in_the_order_asked_for_each_once(library: Library) -> None:
    for name in ("b/2", "b/1", "a", "c"):
        library.put(name, "swarm")
    tasks = split(Request(words=["x"], texts=["c", "b/*", "**"]), library.texts)
    assert names(tasks) == ["c", "b/1", "b/2", "a"]


def test_a_long_text_is_cut_into_pieces_without_a_gap(library: Library) -> None:
    text = library.put("long", b"x" * 250)
    tasks = split(Request(words=["x"], texts=["long"], piece_bytes=100), library.texts)
    assert [(task.start, task.end) for task in tasks] == [(0, 100), (100, 200), (200, 250)]
    assert {task.etag for task in tasks} == {text.etag}


def test_an_empty_text_is_one_task(library: Library) -> None:
    library.put("empty", b"")
    assert len(split(Request(words=["x"], texts=["empty"]), library.texts)) == 1
    assert library.job(Request(words=["x"], texts=["empty"])).texts["empty"].words == {}
    assert library.job(Request(words=["x"], text="")).counts == {"x": 0}


@pytest.mark.parametrize("name", ["absent", "absent/*", "../up", "a/**/z?"])
def test_a_name_that_means_no_text_fails_the_job_and_is_named(library: Library, name: str) -> None:
    library.put("present", b"x")
    with pytest.raises(JobError) as raised:
        split(Request(words=["x"], texts=["present", name]), library.texts)
    assert name in str(raised.value)


def test_pieces_too_small_for_the_text_are_refused_before_they_are_made(library: Library) -> None:
    library.put("large", b"x" * (7 * MIB))
    with pytest.raises(TooManyTasksError, match="piece_bytes"):
        split(Request(words=["x"], texts=["large"], piece_bytes=64), library.texts)


def test_a_word_of_which_nothing_is_left_fails_the_job(library: Library) -> None:
    with pytest.raises(JobError, match="accents"):
        split(Request(words=["\u0301"], text="x", ignore_accents=True), library.texts)
