"""What was asked at different times comes together as rows of one table."""

from loadtests.load.cluster import Counts
from loadtests.load.sampler import moments
from scaling.recording import Moment


def counts(desired: int, ready: int) -> Counts:
    return Counts(desired, ready, None)


def test_without_a_cluster_each_look_is_a_moment() -> None:
    looks = [Moment(0.5, 0, 0, 0, 0), Moment(1.5, 3, 1, 2, 1)]
    assert moments(looks, []) == looks


def test_what_was_not_asked_is_as_it_was_last_known() -> None:
    looks = [Moment(1.0, 5, 0, 0, 0), Moment(9.0, 0, 2, 2, 2)]
    replicas = [(0.5, counts(0, 0)), (1.2, counts(1, 0)), (2.2, counts(3, 1)), (9.5, counts(3, 3))]
    assert moments(looks, replicas) == [
        Moment(1.0, 5, 0, 0, 0, 0, 0),
        Moment(1.2, 5, 0, 0, 0, 1, 0),
        Moment(2.2, 5, 0, 0, 0, 3, 1),
        Moment(9.0, 0, 2, 2, 2, 3, 1),
        Moment(9.5, 0, 2, 2, 2, 3, 3),
    ]


def test_nothing_is_known_before_the_first_look() -> None:
    assert moments([], [(0.5, counts(1, 1))]) == []
