"""`essaim search` without a server: starts what it needs, finds what is there, and leaves nothing behind."""

import json
import signal
import sys
from pathlib import Path

import pytest

from tests.integration.essaim_command import Said, essaim, processes, running, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """A folder with files, where every name that the house uses itself is taken by something that does not run."""
    folder = tmp_path / "books"
    (folder / "deep").mkdir(parents=True)
    (folder / "one.txt").write_text("The swarm hums.\nA SWARM of bees; swarms come.\n")
    (folder / "deep" / "two.txt").write_text("Nothing.\n\n  the swarm again\n")
    (folder / "picture").write_bytes(b"swarm\0swarm")
    (folder / ".hidden").write_text("swarm")
    for module in ("essaim", "essaim_api", "essaim_worker"):
        (folder / f"{module}.py").write_text("raise SystemExit('this is not the module that was meant')\n")
    return folder


def search(*arguments: str, cwd: Path, stdin: str = "", **env: str) -> Said:
    temporary = cwd.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    said = essaim("search", *arguments, cwd=cwd.parent, stdin=stdin, TMPDIR=str(temporary), **env)
    assert list(temporary.iterdir()) == []
    assert processes(temporary) == set()
    return said


def test_files_and_folders_are_searched_and_shown(books: Path) -> None:
    said = search("swarm", "wasp", "-i", "--", "books", cwd=books)
    assert said.code == 0, said.err
    assert "books/one.txt:1:5: The swarm hums." in said.out
    assert "books/deep/two.txt:3:7: " in said.out
    lines = [line.split() for line in said.out.splitlines()]
    assert ["swarm", "3", "2"] in lines
    assert ["wasp", "0", "0"] in lines
    assert "skipped 1 binary file" in said.err


def test_machines_get_one_document(books: Path) -> None:
    names = ["books/one.txt", "books/picture"]
    said = search("swarm", "--json", "--substrings", "--positions", "1", "--", *names, cwd=books)
    assert said.code == 0, said.err
    report = json.loads(said.out)
    assert report["counts"] == {"swarm": 4}
    assert report["texts"]["books/one.txt"]["swarm"]["count"] == 2
    (place,) = report["texts"]["books/one.txt"]["swarm"]["positions"]
    assert (place["line"], place["column"]) == (1, 5)
    assert report["texts"]["books/picture"]["swarm"]["count"] == 2


def test_nothing_found_is_exit_code_1(books: Path) -> None:
    said = search("wasp", "--json", "--", "-", cwd=books, stdin="A swarm.\n")
    assert said.code == 1, said.err
    assert json.loads(said.out) == {"job": json.loads(said.out)["job"], "counts": {"wasp": 0}, "texts": {}}


def test_a_strange_name_and_a_strange_byte_are_searched_all_the_same(books: Path) -> None:
    name = "books/a\udcff \u001b[31m'\n.txt"
    (books.parent / name).write_bytes(b"swarm \xff \x1b[31m swarm\n")
    said = search("swarm", "--", name, cwd=books)
    assert said.code == 0, said.err
    assert "\u001b" not in said.out + said.err
    assert "1 byte" in said.err
    exact = search("swarm", "--json", "--", name, cwd=books)
    assert json.loads(exact.out)["texts"][name]["swarm"]["count"] == 2


def test_the_environment_of_a_server_does_not_leak_in(books: Path) -> None:
    env = {"ESSAIM_API_TOKENS": "ann:secret", "ESSAIM_QUEUE_URL": "amqp://nowhere", "ESSAIM_DATA_DIR": "/nonexistent"}
    said = search("swarm", "--", "books/one.txt", cwd=books, **env)
    assert said.code == 0, said.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["swarm"], "no files: write `essaim search WORD... -- FILE...`"),
        (["swarm", "--", "absent.txt"], "absent.txt: No such file or directory"),
        (["", "--", "books"], "at least 1 character"),
        (["swarm", "--positions", "1000", "--", "books"], "positions: "),
    ],
)
def test_what_cannot_be_searched_is_exit_code_2(books: Path, arguments: list[str], sentence: str) -> None:
    said = search(*arguments, cwd=books)
    assert said.code == 2
    assert sentence in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("ESSAIM_MAX_TASKS_PER_JOB", "1", "has failed: the request splits into"),
        ("ESSAIM_MAX_TEXT_BYTES", "20", ": the body has more than 20 bytes"),  # of whichever file was first
    ],
)
def test_what_the_server_will_not_do_is_exit_code_2(books: Path, setting: str, value: str, sentence: str) -> None:
    said = search("swarm", "--", "books/one.txt", "books/essaim_api.py", cwd=books, **{setting: value})
    assert said.code == 2
    assert sentence in said.err
    assert said.out == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_search_that_is_stopped_takes_everything_with_it(books: Path, tmp_path: Path, number: signal.Signals) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with running("search", "swarm", "--pause", "600", "--", str(books), TMPDIR=str(temporary)) as process:
        wait_until(lambda: list(temporary.glob("*/texts/*/*/one.txt")), "an upload")
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "cancelled and cleaned up" in err
    assert out == ""
    assert list(temporary.iterdir()) == []
    assert processes(temporary) == set()


def test_a_search_that_is_killed_leaves_no_process(books: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with running("search", "swarm", "--pause", "600", "--", str(books), TMPDIR=str(temporary)) as process:
        wait_until(lambda: len(processes(temporary)) >= 2, "the API and a worker")
        process.kill()
        process.wait()
        wait_until(lambda: not processes(temporary), "both leave")
