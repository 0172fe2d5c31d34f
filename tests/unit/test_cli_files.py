"""Which files a command line means, what they are called as texts, and the demo's own."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from essaim.cli.batch import Batch
from essaim.cli.corpus import read_corpus
from essaim.cli.errors import CliError
from essaim.cli.jobs.files import File, find
from essaim.cli.jobs.texts import name_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / ".git").mkdir()
    (tmp_path / "b" / ".git" / "config").write_text("hidden")
    (tmp_path / "b" / "2.txt").write_text("two")
    (tmp_path / "b" / "c" / "1.txt").write_text("one")
    (tmp_path / "b" / "program").write_bytes(b"\x7fELF\0")
    os.symlink(tmp_path, tmp_path / "b" / "loop")
    return tmp_path


def test_a_folder_stands_for_what_is_in_it(folder: Path) -> None:
    found, binary = find(["b"])
    assert found == [File("b/2.txt", 3, "b"), File("b/c/1.txt", 3, "b")]
    assert binary == 1


def test_a_file_named_by_itself_is_always_meant_and_only_once(folder: Path) -> None:
    found, _ = find(["b/program", "b/.git/config", "b", "b/2.txt", "-"])
    assert [file.name for file in found] == ["b/program", "b/.git/config", "b/2.txt", "b/c/1.txt", "-"]
    assert found[-1].size is None


@pytest.mark.parametrize("name", ["absent", "b/2.txt/x", "nul\0"])
def test_what_is_not_there_is_said(folder: Path, name: str) -> None:
    with pytest.raises(CliError):
        find([name])


@pytest.mark.parametrize(
    ("file", "given", "alone", "name"),
    [
        (File("./books/../books/a.txt", 0), None, True, "books/books/a.txt"),
        (File("/home/ann/a.txt", 0), None, True, "home/ann/a.txt"),
        (File("../../a.txt", 0), None, True, "a.txt"),
        (File("a.txt", 0), "b/c.txt", True, "b/c.txt"),
        (File("books/a.txt", 0), "shelf/", True, "shelf/a.txt"),
        (File("books/a.txt", 0), "shelf", False, "shelf/a.txt"),
        (File("books/old/a.txt", 0, "books"), None, False, "books/old/a.txt"),
        (File("books/old/a.txt", 0, "books"), "shelf", True, "shelf/old/a.txt"),
        (File("books/old/a.txt", 0, "books"), "shelf", False, "shelf/books/old/a.txt"),
        (File("/home/ann/a.txt", 0, "/home/ann/"), "shelf", False, "shelf/ann/a.txt"),
        (File("./a.txt", 0, "."), "shelf", False, "shelf/a.txt"),
        (File("../old/a.txt", 0, ".."), "shelf", False, "shelf/old/a.txt"),
        (File("-", None), "typed.txt", True, "typed.txt"),
    ],
)
def test_a_text_is_called_as_its_file(file: File, given: str | None, alone: bool, name: str) -> None:
    assert name_of(file, given, alone) == name


@pytest.mark.parametrize(("given", "alone"), [(None, True), ("shelf", False), ("shelf/", True)])
def test_standard_input_has_no_name_of_its_own(given: str | None, alone: bool) -> None:
    with pytest.raises(CliError, match="--name"):
        name_of(File("-", None), given, alone)


def test_a_batch_gives_every_file_a_name_that_any_store_takes() -> None:
    names = ["a.txt", "x/a.txt", ".hidden", "é\udcff\n\\*?.txt", "-", "n" * 255, "…"]
    batch = Batch([File(name, 1) for name in names])
    assert len(batch.files) == len(names)
    folder = batch.pattern.removesuffix("/**")
    for name in batch.files:
        assert name.startswith(f"{folder}/")
        assert re.fullmatch(r"[^./\\*?\x00-\x1f][^/\\*?\x00-\x1f]*(/[^./\\*?\x00-\x1f][^/\\*?\x00-\x1f]*)*", name)
        assert len(name.encode()) <= 512


def test_the_corpus_counts_what_it_says() -> None:
    words = ("self", "import", "naïve")
    corpus = read_corpus(words, 300_000)

    async def read() -> bytes:
        return b"".join([chunk async for chunk in corpus.chunks()])

    text = asyncio.run(read())
    assert len(text) == corpus.size >= 300_000
    assert corpus.counts == {word: len(re.findall(rf"\b{word}\b", text.decode())) for word in words}
    assert corpus.counts["import"] > 10
