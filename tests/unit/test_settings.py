"""Settings: documented, safe by default, refused in one line when they are not."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from essaim.errors import SettingsError
from essaim.jobs.settings import Settings, load_settings

README = Path(__file__).parents[2] / "README.md"
CLUSTER = ("K_SERVICE", "KUBERNETES_SERVICE_HOST")


def rows() -> list[str]:
    fields = {name: field for name, field in Settings.model_fields.items() if field.validation_alias is None}
    return [f"| `ESSAIM_{name.upper()}` | {_default(field)} | {field.description} |" for name, field in fields.items()]


def _default(field: Any) -> str:
    value = field.get_default()
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    shown = f"{value:.12g}" if isinstance(value, int | float) and not isinstance(value, bool) else value
    return f"`{shown}`" if str(shown) else ""


def test_the_readme_lists_every_setting_as_the_code_has_it() -> None:
    table = re.findall(r"^\| `ESSAIM_.*\|$", README.read_text(), re.MULTILINE)
    assert table == rows(), "put these rows into the README:\n" + "\n".join(rows())


def test_every_setting_says_why() -> None:
    undocumented = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undocumented == ["knative", "kubernetes"]


@pytest.mark.parametrize("cluster", CLUSTER)
def test_sqlite_is_refused_in_a_cluster(cluster: str) -> None:
    with pytest.raises(SettingsError, match="SQLite serves one machine"):
        load_settings(**{cluster: "here"})


def test_listening_to_the_world_without_tokens_is_refused_unless_said_explicitly() -> None:
    with pytest.raises(SettingsError, match="lets everybody in"):
        load_settings(api_host="0.0.0.0")
    assert load_settings(api_host="0.0.0.0", allow_anonymous=True).api_host == "0.0.0.0"
    assert load_settings(api_host="0.0.0.0", api_tokens="ann:secret").tokens() == {"secret": "ann"}


def test_tokens_do_not_show_in_a_printed_setting() -> None:
    assert "s3cret" not in repr(load_settings(api_tokens="ann:s3cret", callback_secret="s3cret" * 4))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"lease_seconds": 1.0, "beat_seconds": 1.0}, "at least twice beat_seconds"),
        ({"api_tokens": "secret"}, "wants `name:token`"),
        ({"release": "Not Valid"}, "ESSAIM_RELEASE"),
        ({"concurrency": 0}, "ESSAIM_CONCURRENCY"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(sentence)) as refused:
        load_settings(**wrong)
    assert len(str(refused.value).splitlines()) == 1


def test_the_embedded_default_keeps_everything_in_one_folder(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    assert settings.queue_url == settings.store_url == f"sqlite:///{tmp_path}/essaim.db"
    assert settings.texts_url == f"file://{tmp_path}"


def test_every_setting_has_a_default() -> None:
    assert all(not field.is_required() for field in Settings.model_fields.values())
    assert inspect.getdoc(Settings)
