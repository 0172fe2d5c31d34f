"""Workloads that cannot be loaded: one sentence that says which module, and where."""

import re
from pathlib import Path

import pytest

from essaim.errors import SettingsError
from essaim.jobs.payload import load_payload

WHOLE = "from pydantic import BaseModel\nclass Request(BaseModel): ...\nTaskInput = TaskResult = Result = Request\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"ESSAIM_WORKLOAD: there is no module (\w+)\.payload"),
        (
            "import no_such_package\n",
            r"importing \w+\.payload failed at \S+/payload\.py:1: .*no_such_package",
        ),
        ("\n1 / 0\n", r"importing \w+\.payload failed at \S+/payload\.py:2: ZeroDivisionError"),
        ("def (\n", r"importing \w+\.payload failed at .*SyntaxError"),
        ("Request = 1\n", r"\S+/payload\.py does not define TaskInput, TaskResult, Result"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(
    content: str | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"work_{abs(hash(content))}"
    (tmp_path / name).mkdir()
    if content is not None:
        (tmp_path / name / "payload.py").write_text(content)
    with pytest.raises(SettingsError) as raised:
        load_payload(name)
    assert re.search(says, str(raised.value))
    assert "\n" not in str(raised.value)


def test_a_whole_one_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "whole_work").mkdir()
    (tmp_path / "whole_work" / "payload.py").write_text(WHOLE)
    assert load_payload("whole_work").request.__name__ == "Request"
