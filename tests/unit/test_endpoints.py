"""Where signals are sent by the `OTEL_*` variables, and which of those are refused."""

import pytest

from essaim.errors import SettingsError
from essaim.telemetry.endpoints import is_wanted, protocol

ALL, LOGS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, ""),
        ({ALL: ""}, ""),
        ({ALL: "http://collector:4318"}, "traces logs metrics"),
        ({ALL: "https://[::1]/base/"}, "traces logs metrics"),
        ({LOGS: "http://collector/otlp/v1/logs"}, "logs"),
        ({ALL: "http://collector", "OTEL_METRICS_EXPORTER": "none"}, "traces logs"),
        ({ALL: "no URL", "OTEL_METRICS_EXPORTER": "none", LOGS: "http://x", "OTEL_TRACES_EXPORTER": "none"}, "logs"),
        ({ALL: "collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "traces logs metrics"),
    ],
)
def test_signals_are_sent_where_an_endpoint_is_set(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], wanted: str
) -> None:
    monkeypatch.setattr("os.environ", environment)
    assert [signal for signal in ("traces", "logs", "metrics") if is_wanted(signal)] == wanted.split()


@pytest.mark.parametrize("endpoint", ["collector:4318", "collector", "http://", "tcp://collector:4318", "http://c:x"])
def test_what_is_no_url_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """It may have a password in it."""
    monkeypatch.setattr("os.environ", {ALL: "http://collector:4318", LOGS: endpoint})
    assert is_wanted("traces")
    with pytest.raises(SettingsError, match=rf"^{LOGS} must be a URL, such as http://127.0.0.1:4318$"):
        is_wanted("logs")


def test_a_protocol_that_is_not_spoken_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {ALL: "http://collector", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/json"})
    assert protocol("traces") == "http/protobuf"
    with pytest.raises(
        SettingsError, match="OTEL_EXPORTER_OTLP_LOGS_PROTOCOL is 'http/json': it must be http/protobuf"
    ):
        is_wanted("logs")
