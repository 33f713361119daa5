"""Posts outcomes in batches, in order, until each batch is acknowledged or refused."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpx
import msgspec

from claims_contract import events
from claims_feedback.outcomes.errors import BadRow, CannotLoad, RowsRefused, Unreachable
from claims_feedback.outcomes.mapping import Item

BATCH_MAX_BYTES: Final = 4_000_000
"""A larger body is sent in halves; the service takes 10 MB unless it was set lower."""

POST_TIMEOUT_SECONDS: Final = 60.0

FIRST_RETRY_SECONDS: Final = 0.5
LONGEST_RETRY_SECONDS: Final = 30.0

TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same is sent again: services come and go, and what was stored before changes nothing."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """An outcome, and where it was found."""

    number: int
    """Rows of the source up to this one, with it."""
    place: str
    item: Item


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What the service says became of a batch, see `claims_feedback.store.Receipt`."""

    accepted: int
    duplicates: int
    labelled: int
    corrections: int


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What the service says when it stored nothing."""

    error: str = ""
    problems: list[dict[str, str | int | None]] = []


class Sender:
    """Speaks to one service with one token; counts what it acknowledged."""

    def __init__(self, url: str, token: str, *, give_up_seconds: float, warn: Callable[[str], None]) -> None:
        """``give_up_seconds``: how long a batch is tried again. ``warn`` is told once when a batch has to wait."""
        if not url.startswith(("http://", "https://")):
            raise CannotLoad(f"The address of the feedback service is `{url}`. It begins with http:// or https://.")
        self._client = httpx.Client(timeout=POST_TIMEOUT_SECONDS, headers={"authorization": f"Bearer {token}"})
        self._url = url.rstrip("/") + events.OUTCOMES_PATH
        self._give_up_seconds = give_up_seconds
        self._warn = warn
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Return the sender; leaving it closes its connections."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the connections."""
        self._client.close()

    def post(self, items: Sequence[Item]) -> None:
        """Have the service store outcomes.

        Raises `RowsRefused` where it does not take some of them, `Unreachable` where it did not answer for too long,
        and `CannotLoad` where the address or the token is wrong. Of a batch sent in halves, the first may be stored.
        """
        body = msgspec.json.encode({"outcomes": items})
        response = self._post_until_answered(body) if len(body) <= BATCH_MAX_BYTES or len(items) == 1 else None
        if response is None or (response.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE and len(items) > 1):
            self._post_halves(items)
        elif response.status_code == httpx.codes.OK:
            self.counts.update(msgspec.structs.asdict(self._receipt(response)))
        elif response.status_code == httpx.codes.BAD_REQUEST:
            raise _rows_refused(response)
        else:
            raise CannotLoad(f"{self._url} answers {_described(response)}.")

    def _post_halves(self, items: Sequence[Item]) -> None:
        middle = len(items) // 2
        self.post(items[:middle])
        try:
            self.post(items[middle:])
        except RowsRefused as error:
            problems = {middle + index: what for index, what in error.problems.items()}
            raise RowsRefused(problems, str(error)) from error

    def _post_until_answered(self, body: bytes) -> httpx.Response:
        """Return an answer that is not temporary."""
        failures = 0
        started = time.monotonic()
        while True:
            response, words = self._post_once(body)
            if response is not None and response.status_code not in TEMPORARY:
                return response
            if time.monotonic() - started >= self._give_up_seconds:
                raise Unreachable(f"{self._url} did not take it for {self._give_up_seconds:g} s: {words}.")
            if failures == 0:
                self._warn(f"Waiting: {words}.")
            # Jitter, so that several senders do not come back all at once.
            delay = FIRST_RETRY_SECONDS * 2 ** min(failures, 10) * random.uniform(0.5, 1)  # noqa: S311
            time.sleep(max(min(delay, LONGEST_RETRY_SECONDS), _retry_after_seconds(response)))
            failures += 1

    def _post_once(self, body: bytes) -> tuple[httpx.Response | None, str]:
        try:
            response = self._client.post(self._url, content=body, headers={"content-type": "application/json"})
        except httpx.TransportError as error:
            return None, f"{type(error).__name__} {error}".strip()
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise CannotLoad(f"{self._url} is no address: {error}.") from error
        return response, _described(response)

    def _receipt(self, response: httpx.Response) -> Receipt:
        try:
            return msgspec.json.decode(response.content, type=Receipt)
        except msgspec.DecodeError as error:
            raise CannotLoad(f"{self._url} answers 200 with something else than counts; is it the service?") from error


def send_batch(batch: Sequence[Found], sender: Sender, *, skip_bad_rows: bool) -> list[BadRow]:
    """Send a batch; return the rows that were refused, without which the others were sent again.

    Without ``skip_bad_rows`` a refusal raises `CannotLoad`.
    """
    refused: list[BadRow] = []
    while batch:
        try:
            sender.post([each.item for each in batch])
        except RowsRefused as error:
            problems = {index: what for index, what in error.problems.items() if 0 <= index < len(batch)}
            bad = [BadRow(place=batch[index].place, what=what) for index, what in sorted(problems.items())]
            if not skip_bad_rows or not bad:
                listed = "\n".join(map(str, bad)) or str(error)
                raise CannotLoad(
                    f"The service refuses rows; everything before {batch[0].place} is stored, and nothing after"
                    f" {batch[-1].place}. Mend them and load again, which changes nothing of what is stored:\n{listed}"
                ) from error
            refused += bad
            batch = [each for index, each in enumerate(batch) if index not in problems]
        else:
            break
    return refused


def _refusal(response: httpx.Response) -> Refusal:
    try:
        return msgspec.json.decode(response.content, type=Refusal)
    except msgspec.DecodeError:
        return Refusal(error=response.text[:200])


def _rows_refused(response: httpx.Response) -> RowsRefused | CannotLoad:
    refusal = _refusal(response)
    problems = {
        problem["index"]: f"{problem.get('where')}: {problem.get('what')}"
        for problem in refusal.problems
        if isinstance(problem.get("index"), int)
    }
    if not problems:
        return CannotLoad(f"The feedback service refuses the whole batch: {_described(response)}.")
    return RowsRefused(problems, refusal.error)  # type: ignore[arg-type]


def _described(response: httpx.Response) -> str:
    return f"{response.status_code}: {_refusal(response).error or response.reason_phrase}".rstrip(".")


def _retry_after_seconds(response: httpx.Response | None) -> float:
    """Return how long the service asks to wait, within reason."""
    text = response.headers.get("retry-after", "") if response is not None else ""
    return min(float(text), 2 * LONGEST_RETRY_SECONDS) if text.isascii() and text.isdigit() else 0.0
