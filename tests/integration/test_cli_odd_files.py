"""Files that are no plain files, names that are no plain names, and output that nobody reads."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.essaim_command import COMMAND, Said, environment, essaim, house, running, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and writes to /dev/full")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with house(tmp_path_factory.mktemp("up"), "--no-live") as (_, url):
        yield url


def search(url: str, word: str, *files: str, cwd: Path, stdin: str = "") -> Said:
    return essaim("search", word, "--server", url, "--", *files, cwd=cwd, stdin=stdin)


def waits_for_a_writer(process: subprocess.Popen[str]) -> bool:
    tasks = Path(f"/proc/{process.pid}/task").glob("*/wchan")
    return any("wait_for_partner" in task.read_text() for task in tasks)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("has_writer", [False, True])
def test_a_pipe_that_nobody_writes_to_can_be_left(
    url: str, tmp_path: Path, number: signal.Signals, has_writer: bool
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with running("search", "swarm", "--server", url, "--", str(pipe)) as process:
        wait_until(lambda: waits_for_a_writer(process), "the pipe is opened")
        writer = os.open(pipe, os.O_WRONLY) if has_writer else None
        process.send_signal(number)
        out, err = process.communicate()
        if writer is not None:
            os.close(writer)
    assert (process.returncode, out) == (128 + number, "")
    assert err == "cancelled and cleaned up\n"


def test_a_pipe_is_read_to_its_end(url: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with running("search", "swarm", "--server", url, "--json", "--", str(pipe)) as process:
        with pipe.open("w") as writer:  # waits for the command to open it
            writer.write("a swarm\n" * 300_000)
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert json.loads(out)["counts"] == {"swarm": 300_000}


@pytest.mark.parametrize("path", ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"])
def test_a_file_has_what_is_read_and_not_what_its_size_says(url: str, tmp_path: Path, path: str) -> None:
    if not Path(path).exists():
        pytest.skip(f"{path} is not on this machine")
    content = Path(path).read_text()
    assert os.stat(path).st_size != len(content)
    word = max(content.replace("[", " ").split(), key=len)
    assert search(url, word, path, cwd=tmp_path).code == 0


def test_a_device_may_be_empty(url: str, tmp_path: Path) -> None:
    assert search(url, "swarm", "/dev/null", cwd=tmp_path).code == 1


@pytest.mark.parametrize("command", ["search", "put"])
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("socket", "socket: a socket cannot be read like a file"),
        ("gone", "gone: No such file or directory"),
        ("dangling", "dangling: No such file or directory"),
        ("/proc/self/mem", "/proc/self/mem: Input/output error"),
        ("a\nforged", "a\\nforged: No such file or directory"),
        ("\udcff\x1b[31m", "\\xff\\x1b[31m: No such file or directory"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(url: str, tmp_path: Path, command: str, name: str, sentence: str) -> None:
    os.symlink("gone", tmp_path / "dangling")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket"))
        arguments = ["search", "swarm", "--"] if command == "search" else ["texts", "put"]
        said = essaim(*arguments, name, cwd=tmp_path, ESSAIM_SERVER=url)
    assert (said.code, said.out, said.err) == (2, "", f"essaim: {sentence}\n")


@pytest.mark.parametrize("arguments", [["submit", "-"], ["texts", "put", "-", "--name", "a"]])
def test_nothing_is_taken_from_a_closed_standard_input(url: str, arguments: list[str]) -> None:
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, *arguments, "--server", url]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "essaim: -: standard input is closed\n")


@pytest.mark.parametrize("stdin", ["closed", "open"])
def test_standard_input_may_be_closed(url: str, stdin: str) -> None:
    script = f'exec "$@" {"<&-" if stdin == "closed" else "</dev/null"}'
    command = ["sh", "-c", script, "sh", *COMMAND, "search", "swarm", "--server", url, "--", "-"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    expected = (2, "essaim: -: standard input is closed\n") if stdin == "closed" else (1, "")
    assert (done.returncode, done.stderr) == expected


def test_a_name_can_forge_no_line(url: str, tmp_path: Path) -> None:
    name = "a\nsafe.txt:1:1: swarm\u2028\x9b31m"
    (tmp_path / name).write_bytes(b"\xff swarm\n")
    said = search(url, "swarm", ".", cwd=tmp_path)
    shown = "./a\\nsafe.txt:1:1: swarm\\u2028\\x9b31m"
    assert said.code == 0, said.err
    assert said.out.splitlines()[0] == f"{shown}:1:3: \ufffd swarm"
    assert said.err == f"{shown}: 1 byte not UTF-8; searched all the same\n"


def test_utf_16_in_a_folder_is_no_binary_file(url: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes("\ufeffa swarm \U0001f41d\n".encode("utf-16-le"))
    (tmp_path / "binary").write_bytes("\ufeffa swarm \0".encode("utf-16-le"))
    said = search(url, "swarm", ".", cwd=tmp_path)
    assert said.code == 0
    assert said.out.splitlines()[0] == "./text:1:3: a swarm \U0001f41d"
    assert said.err.splitlines() == ["skipped 1 binary file", "./text: decoded from UTF-16-LE"]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["stats"], ["stats", "--json"], ["search", "swarm", "--", "/dev/null"]]
)
def test_a_closed_pipe_is_not_the_same_as_nothing_found(url: str, arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, *arguments], stdout=write, stderr=subprocess.PIPE, env=environment(ESSAIM_SERVER=url), text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_a_text_that_is_read_in_part_ends_the_command(url: str, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_bytes(b"swarm\n" * 3_000_000)
    assert essaim("texts", "put", "long.txt", cwd=tmp_path, ESSAIM_SERVER=url).code == 0
    with running("texts", "get", "long.txt", ESSAIM_SERVER=url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "swarm\n"
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == ("", 128 + signal.SIGPIPE)


def test_a_full_disk_is_a_sentence(url: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "stats"], stdout=full, stderr=subprocess.PIPE, env=environment(ESSAIM_SERVER=url), text=True
        )
    assert (done.returncode, done.stderr) == (2, "essaim: standard output: No space left on device\n")


def test_a_closed_standard_output_takes_everything(url: str) -> None:
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "stats", "--server", url]
    done = subprocess.run(command, stderr=subprocess.PIPE, env=environment(), text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["shop/sales", "--name", "x"], ["x/deep/b.csv", "x/a.csv"]),
        (["shop/sales/", "--name", "x/"], ["x/deep/b.csv", "x/a.csv"]),
        (["shop/sales/deep", "--name", "x"], ["x/b.csv"]),
        (["shop/sales", "shop/c.csv", "--name", "x"], ["x/sales/deep/b.csv", "x/sales/a.csv", "x/c.csv"]),
        (["shop/c.csv", "--name", "y"], ["y"]),
        (["shop/c.csv", "--name", "x/"], ["x/c.csv"]),
        (["shop"], ["shop/sales/deep/b.csv", "shop/sales/a.csv", "shop/c.csv"]),
    ],
)
def test_a_name_is_given_as_cp_gives_it(url: str, tmp_path: Path, arguments: list[str], names: list[str]) -> None:
    (tmp_path / "shop" / "sales" / "deep").mkdir(parents=True)
    for name in ("c.csv", "sales/a.csv", "sales/deep/b.csv"):
        (tmp_path / "shop" / name).write_text(name)
    said = essaim("texts", "put", *arguments, "--json", cwd=tmp_path, ESSAIM_SERVER=url)
    assert said.code == 0, said.err
    assert sorted(text["name"] for text in json.loads(said.out)["texts"]) == sorted(names)


def test_two_files_are_not_stored_under_one_name(url: str, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(folder)
    said = essaim("texts", "put", "one/a.txt", "two/a.txt", "--name", "both", cwd=tmp_path, ESSAIM_SERVER=url)
    assert (said.code, said.err) == (2, "essaim: one/a.txt and two/a.txt would both be stored as both/a.txt\n")
