"""What `essaim up` hands to the processes that it starts."""

import os
import pickle
import subprocess
import sys

import pytest

from essaim.cli.local.release import environment
from essaim.jobs.settings import Settings, load_settings

GIVEN: dict[str, object] = {
    "release": "v2.1-rc",
    "workload": "their.own_work",
    "data_dir": "/srv/a folder/é\udcff",
    "queue_url": "amqp://ada:p%40ss@broker/jobs?heartbeat=5",
    "store_url": "mongodb://ada:p%40ss@store/essaim",
    "texts_url": "s3://bucket/a folder",
    "api_host": "0.0.0.0",
    "api_tokens": 'ada: 0123456789abcdef ,bob:"quoted"$HOME\'\\',
    "callback_hosts": "hooks.example.com, *.example.org",
    "callback_secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "lease_seconds": 31.25,
    "pod_name": "worker-0",
    "pod_namespace": "essaim",
    "log_level": "ERROR",
    "log_dir": "logs/here",
}
"""Fields that not every value of their type suits; the others are made from their defaults."""


def other(name: str) -> object:
    """A value of this setting that is not its default."""
    if name in GIVEN:
        return GIVEN[name]
    match Settings.model_fields[name].default:
        case bool(default):
            return not default
        case int(default):
            return default + 1
        case float(default):
            return default + 0.1
    raise AssertionError(f"give {name} a value above")


def test_a_child_reads_every_setting_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name, field in Settings.model_fields.items() if not field.exclude]
    given = load_settings(**{name: other(name) for name in names})
    same = [name for name in names if getattr(given, name) == Settings.model_fields[name].default]
    assert not same, "these would be equal in a child that was told nothing"
    monkeypatch.setenv("ESSAIM_API_PORT", "1")
    monkeypatch.setenv("essaim_api_port", "2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "as it is")
    ask = (
        "import os, pickle, sys; from essaim.jobs.settings import load_settings; "
        "pickle.dump((load_settings(), os.environ['AWS_SECRET_ACCESS_KEY']), sys.stdout.buffer)"
    )
    read, key = pickle.loads(
        subprocess.run([sys.executable, "-c", ask], env=environment(given), stdout=subprocess.PIPE, check=True).stdout
    )  # our own
    assert {name: getattr(read, name) for name in names} == {name: getattr(given, name) for name in names}
    assert key == os.environ["AWS_SECRET_ACCESS_KEY"]
