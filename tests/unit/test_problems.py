"""Which error is which problem."""

import json

from essaim import errors
from essaim.errors import EssaimError, QueueFullError, RequestInvalidError, UnavailableError
from essaim_api import errors as http_errors
from essaim_api.problems import KINDS, TYPE_PREFIX, document, kind_of, respond, responses

SCOPE = {"type": "http", "raw_path": b"/v1/jobs"}


def leaves(error: type[EssaimError]) -> set[type[EssaimError]]:
    below = error.__subclasses__()
    return {error} if not below else set().union(*(leaves(child) for child in below))


def test_every_error_has_a_row() -> None:
    ours = {error for error in leaves(EssaimError) if error.__module__ in (errors.__name__, http_errors.__name__)}
    as_their_parents = {http_errors.RangeUnsatisfiableError, http_errors.ParameterInvalidError}
    assert errors.QueueFullError in ours
    assert {error for error in ours if error not in KINDS} == as_their_parents


def test_an_error_without_a_row_is_what_its_parent_is() -> None:
    class LatelyFullError(QueueFullError):
        """One more."""

    assert kind_of(LatelyFullError) == kind_of(QueueFullError)


def test_every_problem_has_a_name_of_its_own() -> None:
    slugs = [kind.slug for kind in KINDS.values()]
    assert len(set(slugs)) == len(slugs)


def test_what_will_pass_says_when_to_come_back() -> None:
    for error in (QueueFullError, UnavailableError, http_errors.BusyError):
        assert kind_of(error).status == 503
        assert int(respond(SCOPE, error("soon")).headers["retry-after"]) > 0


def test_a_problem_is_whole_and_of_its_type() -> None:
    response = respond(SCOPE, errors.JobNotFoundError("no job 7"))
    assert (response.status_code, response.media_type) == (404, "application/problem+json")
    assert json.loads(bytes(response.body)) == {
        "type": TYPE_PREFIX + "job-not-found",
        "title": "There is no such job",
        "status": 404,
        "detail": "no job 7",
        "instance": "/v1/jobs",
    }


def test_a_problem_can_quote_anything() -> None:
    response = respond(SCOPE, errors.TextNameError("\ud800\x00\u2028" + "x" * 10_000))
    assert json.loads(bytes(response.body))["detail"].startswith("\ud800\x00\u2028x")
    assert len(response.body) < 2000


def test_a_field_is_named_by_a_json_pointer() -> None:
    items: list[dict[str, object]] = [
        {"loc": ("a/b", 0, "c~d"), "msg": "Value error, no", "input": "secret"},
        {"loc": (), "msg": "nothing"},
    ]
    assert document(RequestInvalidError("it does not fit", items), "/")["errors"] == [
        {"detail": "no", "pointer": "#/a~1b/0/c~0d"},
        {"detail": "nothing", "pointer": "#"},
    ]


def test_a_parameter_is_named() -> None:
    items: list[dict[str, object]] = [{"loc": ("query", "limit"), "msg": "too large", "input": "secret"}]
    problem = document(http_errors.ParameterInvalidError("it does not fit", items), "/")
    assert (problem["status"], problem["errors"]) == (422, [{"detail": "too large", "parameter": "limit"}])


def test_the_document_of_a_route_lists_each_status_once() -> None:
    found = responses([errors.TextExistsError, errors.TextChangedError, errors.TextNotFoundError])
    assert sorted(found) == [404, 412]
    examples = found[412]["content"]["application/problem+json"]["examples"]
    assert sorted(examples) == ["text-changed", "text-exists"]
    assert examples["text-exists"]["value"] == document(errors.TextExistsError(errors.TextExistsError.__doc__), "/v1/…")
