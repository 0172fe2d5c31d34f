"""Links lead nowhere, and names that folders and files cannot share are refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from essaim.errors import TextExistsError, TextNameError, TextNotFoundError
from essaim.jobs.adapters.texts.store import ObjectTexts
from tests.contract.texts import names, put, refused


async def test_links_lead_nowhere(texts: ObjectTexts, tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "texts"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (inside / "folder").symlink_to(outside)
    (inside / "file").symlink_to(outside / "secret")
    (inside / "everything").symlink_to("/")
    (inside / "loop").symlink_to(inside)
    (inside / "broken").symlink_to("nowhere")
    await put(texts, "real/text")
    (inside / "real" / "up").symlink_to("..")

    for pattern in ("**", "*", "*/*", "folder/*", "folder/secret", "file", "loop/**", "everything/etc/*", "real/up/**"):
        assert set(await names(texts, pattern)) <= {"real/text"}, pattern
    for name in ("folder/secret", "file", "loop/real/text", "real/up/real/text", "everything/etc/passwd", "broken"):
        await refused(texts, name, TextNotFoundError)
    for name in ("folder/new", "folder/secret", "loop/new", "real/up/new", "everything/tmp/new"):
        with pytest.raises(TextNameError, match="is a symbolic link"):
            await put(texts, name)

    await put(texts, "file", b"mine")  # takes the link's place
    assert await texts.read("file", 0, 9) == b"mine"
    assert (outside / "secret").read_bytes() == b"secret"
    assert [path.name for path in outside.iterdir()] == ["secret"]


async def test_a_text_in_a_folders_place_is_refused_with_a_sentence(texts: ObjectTexts) -> None:
    await put(texts, "a/b/c")
    for overwrite in (True, False):
        with pytest.raises(TextNameError, match=r"^'a/b' cannot be stored: it is a folder of other texts$"):
            await put(texts, "a/b", overwrite=overwrite)
        with pytest.raises(TextNameError, match=r"^'a/b/c/d/e' cannot be stored: 'a/b/c' is a text, no folder$"):
            await put(texts, "a/b/c/d/e", overwrite=overwrite)


async def test_an_empty_folder_blocks_no_name(texts: ObjectTexts, tmp_path: Path) -> None:
    (tmp_path / "texts" / "a").mkdir()
    (tmp_path / "texts" / "b").mkdir()
    await put(texts, "a")
    await put(texts, "b", overwrite=False)
    assert await names(texts) == ["a", "b"]


async def test_two_texts_that_meet_in_one_place_do_not_mix(texts: ObjectTexts) -> None:
    """Both were free when they began; one of them is told when it ends."""
    both = asyncio.Barrier(2)

    async def meeting() -> AsyncIterator[bytes]:
        await both.wait()
        yield b"x"

    puts = [texts.put(name, meeting(), limit=1, overwrite=False) for name in ("a", "a/b")]
    ends = await asyncio.gather(*puts, return_exceptions=True)
    refused = [end for end in ends if isinstance(end, TextNameError | TextExistsError)]
    assert len(refused) == 1, ends
    assert len(await names(texts)) == 1


async def test_deleting_beside_writing_loses_no_text(texts: ObjectTexts) -> None:
    """The last text takes its folder with it, while another is about to be put there."""

    async def come_and_go(name: str) -> None:
        for number in range(100):
            await put(texts, name, b"%d" % number, overwrite=number % 2 == 0)
            assert await texts.read(name, 0, 9) == b"%d" % number
            await texts.delete(name)

    await asyncio.gather(*(come_and_go(f"a/b/{name}") for name in "xyz"))
    assert await names(texts) == []


async def test_files_put_there_by_hand_are_texts_if_they_have_a_name_for_it(texts: ObjectTexts, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "books").mkdir()
    for name in ("books/by hand.txt", ".hidden", "books/.hidden", "a#1", "a*", "a?", "a\\b", "a\nb", "C:"):
        (folder / name).write_bytes(b"by hand")
    (Path(f"{folder}/").joinpath("\udcff")).write_bytes(b"no UTF-8")
    assert await names(texts) == ["books/by hand.txt"]
    assert await texts.read("books/by hand.txt", 0, 99) == b"by hand"
