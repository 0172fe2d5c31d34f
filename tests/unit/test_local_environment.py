"""What `essaim up` hands to the processes that it starts."""

import pytest
from pydantic import SecretBytes, SecretStr

from cli.local_release import environment
from jobs.settings import Settings, load_settings

SECRETS = [name for name, field in Settings.model_fields.items() if field.annotation in (SecretStr, SecretBytes)]
VALUES = {
    "api_tokens": "ada:0123456789abcdef0123456789abcdef",
    "callback_secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
}


def test_every_secret_has_a_value_here() -> None:
    """A new one must be added above, so that the next test is about it too."""
    assert set(SECRETS) == VALUES.keys()


def test_a_child_reads_the_settings_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given = load_settings(**VALUES, retention_seconds=12345.5, concurrency=7, callback_hosts="hooks.example.com")
    for name, value in environment(given).items():
        if name.startswith("ESSAIM_"):
            monkeypatch.setenv(name, value)
    read = load_settings()
    assert {name: getattr(read, name) for name in Settings.model_fields} == {
        name: getattr(given, name) for name in Settings.model_fields
    }
