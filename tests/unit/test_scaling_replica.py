"""Restarts of what cannot start are spaced as the kubelet spaces them; those of what has worked are not."""

from essaim.supervisor.replica import Backoff


def test_the_first_restart_is_at_once_then_ten_seconds_double_up_to_five_minutes() -> None:
    backoff, now, delays = Backoff(), 0.0, []
    for _ in range(9):
        delays.append(delay := backoff.next(now))
        now += delay
    assert delays == [0, 10, 20, 40, 80, 160, 300, 300, 300]


def test_what_has_lived_for_ten_seconds_is_started_again_at_once() -> None:
    backoff = Backoff()
    assert [backoff.next(now) for now in (0, 0, 10)] == [0, 10, 20]  # restarted at 30
    assert backoff.next(40) == 40  # restarted at 80
    assert backoff.next(91) == 0
    assert backoff.next(91) == 10
