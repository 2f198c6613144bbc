"""The catalogue of problems: every error and every bad receipt has its place in it."""

from __future__ import annotations

import inspect
from http import HTTPStatus

import pytest
from msgspec import Raw

from collator import errors
from collator.errors import CollatorError, Unavailable
from collator.packet import Packet, Receipt, Status
from collator.web.problems import HttpProblem, ProblemType, problem, problem_headers, problem_of
from collator.web.receipts import receipt_problem
from collator.web.request_body import answer_problem

ERRORS = [e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, CollatorError)]


@pytest.mark.parametrize("kind", ProblemType)
def test_each_kind_has_a_status_that_http_knows_and_a_title(kind: ProblemType) -> None:
    assert HTTPStatus(kind.status) >= 400
    assert kind.title
    assert problem(HttpProblem(kind, "why"))["type"] == f"urn:collator:problem:{kind.code}"


@pytest.mark.parametrize("error", ERRORS)
def test_each_error_becomes_a_problem_and_only_trouble_may_pass(error: type[CollatorError]) -> None:
    refusal = problem_of(error("why"))
    assert (problem(refusal)["detail"], problem(refusal)["code"]) == ("why", refusal.kind.code)
    assert (refusal.retry_after is not None) == issubclass(error, Unavailable)
    assert (refusal.kind.status in {503, 507}) == issubclass(error, Unavailable)


@pytest.mark.parametrize(("seconds", "field"), [(0.0, b"1"), (0.2, b"1"), (1.0, b"1"), (1.1, b"2"), (30.0, b"30")])
def test_retry_after_is_in_whole_seconds_and_never_too_early(seconds: float, field: bytes) -> None:
    assert (b"retry-after", field) in problem_headers(HttpProblem(ProblemType.BUSY, "why", retry_after=seconds))


@pytest.mark.parametrize("status", [s for s in Status if s not in {Status.ACCEPTED, Status.DUPLICATE}])
def test_each_bad_receipt_is_a_problem_whose_code_is_its_status(status: Status) -> None:
    receipt = Receipt(status, None, 3.0)
    answer = answer_problem(receipt_problem(Packet("r", 7, Raw(b"0")), receipt))
    members = problem(receipt_problem(Packet("r", 7, Raw(b"0")), receipt))
    assert (members["code"], members["resource_id"], members["index"]) == (status, "r", 7)
    assert (members["status"], answer.status) == (answer.status, {"refused": 429, "error": 500}.get(status, 409))
