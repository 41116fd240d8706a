from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import tzset

import httpx
import pytest

from app.errors import UpstreamFailed, UpstreamTimeout
from app.upstream.retry import RetryPolicy, call, retried, retry_hint
from tests.virtual_time import in_virtual_time, now


class Flaky:
    """Answers with each of `outcomes` in turn, and counts its calls."""

    def __init__(self, outcomes: Sequence[httpx.Response | Exception]) -> None:
        self.outcomes = list(outcomes)
        self.calls = 0

    async def __call__(self) -> str:
        outcome = self.outcomes[self.calls]
        self.calls += 1
        if isinstance(outcome, Exception):
            raise outcome
        outcome.request = httpx.Request("POST", "https://upstream.example/secret-path")
        outcome.raise_for_status()
        return outcome.text


def status(code: int, **headers: str) -> httpx.Response:
    return httpx.Response(code, headers={k.replace("_", "-"): v for k, v in headers.items()})


THRICE = RetryPolicy(attempts=3)
OK = httpx.Response(200, text="fine")
BROKEN = httpx.ConnectError("refused")


@in_virtual_time
async def test_an_answer_is_handed_on_without_a_pause() -> None:
    assert await call("the store", Flaky([OK]), THRICE) == "fine"
    assert now() == 0


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_what_may_pass_is_tried_again(code: int) -> None:
    @in_virtual_time
    async def test() -> None:
        flaky = Flaky([status(code), BROKEN, OK])
        assert await call("the store", flaky, THRICE) == "fine"
        assert 0.4 < now() < 10

    test()


@pytest.mark.parametrize("code", [400, 401, 404, 422])
def test_what_will_not_pass_is_not_tried_again(code: int) -> None:
    @in_virtual_time
    async def test() -> None:
        flaky = Flaky([status(code), OK])
        with pytest.raises(UpstreamFailed, match=f"^the store answered {code}$") as caught:
            await call("the store", flaky, THRICE)
        assert flaky.calls == 1
        assert (caught.value.upstream, caught.value.status) == ("the store", code)

    test()


@in_virtual_time
async def test_a_hint_is_waited_for_exactly() -> None:
    flaky = Flaky([status(429, retry_after="7"), status(429, retry_after_ms="250"), OK])
    await call("the store", flaky, THRICE)
    assert now() == 7.25


@in_virtual_time
async def test_a_service_that_asks_for_an_hour_is_taken_as_down() -> None:
    flaky = Flaky([status(503, retry_after="3600"), OK])
    with pytest.raises(UpstreamFailed, match="answered 503"):
        await call("the store", flaky, THRICE)
    assert now() == 0


@in_virtual_time
async def test_a_caller_may_be_less_patient() -> None:
    flaky = Flaky([status(429, retry_after="3"), status(429, retry_after="5"), OK])
    with pytest.raises(UpstreamFailed, match="answered 429"):
        await call("the store", flaky, RetryPolicy(attempts=3, max_hint=4.0))
    assert now() == 3


@in_virtual_time
async def test_the_error_of_the_last_failure_does_not_name_what_was_sent() -> None:
    flaky = Flaky([status(500)] * 3)
    with pytest.raises(UpstreamFailed) as caught:
        await call("the store", flaky, THRICE)
    assert flaky.calls == 3
    assert str(caught.value) == "the store answered 500"


@in_virtual_time
async def test_a_read_that_times_out_is_not_repeated_and_is_its_own_error() -> None:
    flaky = Flaky([httpx.ReadTimeout("slow"), OK])
    with pytest.raises(UpstreamTimeout, match="the store did not answer in time"):
        await call("the store", flaky, THRICE)
    assert flaky.calls == 1


@in_virtual_time
async def test_retries_are_not_logged_by_others(caplog: pytest.LogCaptureFixture) -> None:
    await call("the store", Flaky([status(500), OK]), THRICE)
    assert caplog.records == []


@in_virtual_time
async def test_a_hint_that_is_too_long_may_be_shortened_instead() -> None:
    policy = RetryPolicy(attempts=3, max_hint=30, shorten_hints=True)
    assert await retried(Flaky([status(429, retry_after="9999"), OK]), policy) == "fine"
    assert now() == 30


@in_virtual_time
async def test_a_hint_that_reaches_beyond_the_deadline_is_not_waited_for() -> None:
    flaky = Flaky([status(429, retry_after="2"), status(429, retry_after="2"), OK])
    with pytest.raises(UpstreamFailed, match="answered 429"):
        await call("the store", flaky, THRICE, deadline=4)
    assert (flaky.calls, now()) == (2, 2)


@in_virtual_time
async def test_waits_double_up_to_their_bound_where_there_is_no_hint() -> None:
    policy = RetryPolicy(attempts=5, first_wait=0.5, max_wait=2, jitter=0)
    with pytest.raises(httpx.HTTPStatusError):
        await retried(Flaky([status(503)] * 5), policy)
    assert now() == 0.5 + 1 + 2 + 2


@pytest.mark.parametrize("failure", [status(500), BROKEN])
def test_only_what_the_policy_names_is_tried_again(failure: httpx.Response | Exception) -> None:
    @in_virtual_time
    async def test() -> None:
        flaky = Flaky([failure, OK])
        policy = RetryPolicy(attempts=3, statuses=frozenset({429, 503}), connections=False)
        with pytest.raises(httpx.HTTPError):
            await retried(flaky, policy)
        assert flaky.calls == 1

    test()


def test_a_hint_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    hint = retry_hint(status(429, retry_after=later))
    assert hint is not None
    assert 25 < hint <= 30


@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "nan",
        "",
        "-5",
        "9" * 400,
        "9" * 5000,
        "Wed, 21 Oct 99999 07:28:00 GMT",
        f"Wed, 21 Oct {'9' * 20} 07:28:00 GMT",
        f"Wed, 21 Oct {'9' * 5000} 07:28:00 GMT",
        "Wed, 31 Dec 9999 23:59:59 -9999999",
    ],
)
def test_a_hint_that_cannot_be_read_is_none(value: str) -> None:
    assert retry_hint(status(429, retry_after=value)) is None


@pytest.mark.parametrize("value", ["inf", "nan", "-inf", "9" * 400, "soon"])
def test_milliseconds_that_cannot_be_read_are_none(value: str) -> None:
    assert retry_hint(status(429, retry_after_ms=value)) in (None, 0.0)


@pytest.mark.parametrize(
    ("name", "value", "seconds"),
    [
        ("retry_after", "9" * 308, 86_400),
        ("retry_after_ms", "9" * 308, 86_400),
        ("retry_after", "Wed, 21 Oct 9999 07:28:00 GMT", 86_400),
        ("retry_after", "Wed, 21 Oct 0001 07:28:00 +2359", 0),
        ("retry_after", "Wed, 21 Oct 2015 07:28:00 -0000", 0),
        ("retry_after_ms", "-1e308", 0),
    ],
)
def test_a_hint_is_neither_in_the_past_nor_more_than_a_day_away(
    name: str, value: str, seconds: float
) -> None:
    assert retry_hint(status(429, **{name: value})) == seconds


def test_a_hint_that_is_a_date_without_an_offset_is_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    tzset()
    try:
        later = datetime.now(UTC) + timedelta(seconds=30)
        hint = retry_hint(status(429, retry_after=f"{later:%a, %d %b %Y %H:%M:%S} -0000"))
    finally:
        monkeypatch.undo()
        tzset()
    assert hint is not None
    assert 25 < hint <= 30


@in_virtual_time
async def test_a_call_that_may_be_done_twice_is_repeated_when_its_connection_breaks() -> None:
    broken = httpx.ReadError("reset")
    twice = RetryPolicy(attempts=2, broken_connections=True)
    assert await retried(Flaky([broken, OK]), twice) == "fine"
    with pytest.raises(httpx.ReadError):
        await retried(Flaky([broken, OK]), THRICE)


@in_virtual_time
async def test_after_the_deadline_nothing_is_tried_again() -> None:
    many = RetryPolicy(attempts=1000, first_wait=1, max_wait=1, jitter=0)
    with pytest.raises(httpx.ConnectError):
        await retried(Flaky([BROKEN] * 1000), many, deadline=5)
    assert 5 <= now() < 7
