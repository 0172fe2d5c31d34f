"""The results of tasks become that of the job."""

from essaim_words.payload import Position, Request, TaskResult, WordMatches
from essaim_words.workload import merge


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
