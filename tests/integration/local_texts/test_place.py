"""Where the texts are: the folder that a URL names."""

from pathlib import Path

import pytest

from essaim.errors import SettingsError
from essaim.jobs.adapters.texts.opening import open_texts
from tests.contract.texts import names, put


@pytest.mark.parametrize("name", ["plain", "with space", "é日", "100%", "a#b", "a?b", "[x]", "%20", "a;b"])
async def test_a_url_names_any_folder_and_makes_it(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "deeper"
    async with open_texts(folder.as_uri(), "texts") as texts:
        await put(texts, "a/b", b"here")
        assert await names(texts) == ["a/b"]
        assert await texts.read("a/b", 0, 9) == b"here"
    assert (folder / "texts" / "a" / "b").read_bytes() == b"here"


@pytest.mark.parametrize(
    "url", ["file://data", "file://data/texts", "file:data", "file:", "file:///data#1", "file:///a?b"]
)
async def test_a_url_that_would_name_another_folder_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"file:///absolute/path"):
        async with open_texts(url, "texts"):
            pass


async def test_texts_and_results_do_not_meet(tmp_path: Path) -> None:
    async with open_texts(tmp_path.as_uri(), "texts") as texts, open_texts(tmp_path.as_uri(), "results") as results:
        await put(texts, "a")
        assert await names(texts) == ["a"]
        assert await names(results) == []
