"""What is sent to the service, and the threads that send it."""

import contextlib
import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from claims_contract import events

MODELS = 20
REVISIONS = ("a1", "b2")
EPOCHS = 5
"""Strata are models times revisions times epochs."""

EVENT = (
    '{{"specversion":"1.0","type":"{type}","source":"{source}","id":"{request_id}/0","time":"{time}",'
    '"datacontenttype":"application/json","data":{{"namespace":"claims","model":"{model}","revision":"{revision}",'
    '"requestId":"{request_id}","row":0,"claimId":"claim-{n:012d}","attempt":1,"epoch":{epoch},"decision":"{decision}",'
    '"score":{score}}}}}'
)

OUTCOME = (
    '{{"namespace":"claims","model":"{model}","claimId":"claim-{n:012d}","outcome":"{outcome}","observedAt":"{time}"}}'
)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to send."""

    events: int
    batch_events: int
    labelled: float
    """Share of the claims whose outcome is sent, right after their events."""
    senders: int
    time: str
    """When all of it was served and observed, as RFC 3339 says it."""


def batches(load: Load, numbers: Iterator[int]) -> Iterator[tuple[str, str]]:
    """Return (events, outcomes) as JSON, for the batches that one sender takes; no outcomes where none is due."""
    for batch in numbers:
        first = batch * load.batch_events
        of = _origin(batch, load)
        rows = range(first, min(first + load.batch_events, load.events))
        yield (
            f"[{','.join(_event(n, of, load.time) for n in rows)}]",
            ",".join(_outcome(n, of["model"], load.time) for n in rows if n * load.labelled % 1 < load.labelled),
        )


def _origin(batch: int, load: Load) -> dict[str, str]:
    model, revision = f"claim-risk-{batch % MODELS}", REVISIONS[batch // MODELS % len(REVISIONS)]
    epoch = 1 + batch * load.batch_events * EPOCHS // load.events
    source = events.prediction_source("claims", model, revision)
    return {
        "type": events.PREDICTION_TYPE,
        "model": model,
        "revision": revision,
        "epoch": str(epoch),
        "source": source,
    }


def _event(n: int, of: dict[str, str], time_text: str) -> str:
    # As a UUID: distinct, and in no order, so that an index is written all over.
    request_id = f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}{n:016x}"
    score = n * 7919 % 1000 / 1000
    return EVENT.format(
        n=n, request_id=request_id, time=time_text, score=score, decision="refer" if score > 0.7 else "settle", **of
    )


def _outcome(n: int, model: str, time_text: str) -> str:
    return OUTCOME.format(n=n, model=model, time=time_text, outcome="positive" if n % 5 == 0 else "negative")


class Senders:
    """Threads that share the batches; each waits for the answer to one before it sends the next."""

    def __init__(self, load: Load, *, port: int, token: str) -> None:
        """Send to the service on a port of this machine."""
        self.acknowledged_events = 0
        self.acknowledged_outcomes = 0
        self.failure: BaseException | None = None
        self._load = load
        self._port = port
        self._token = token
        self._lock = threading.Lock()
        self._numbers = iter(range(-(-load.events // load.batch_events)))
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(load.senders)]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    @property
    def are_sending(self) -> bool:
        """Whether one of them has not ended."""
        return any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        try:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)) as connection:
                for sent, told in batches(self._load, self._taken()):
                    self._post(connection, events.EVENTS_PATH, sent, {"content-type": events.BATCH_CONTENT_TYPE})
                    if told:
                        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}"}
                        self._post(connection, events.OUTCOMES_PATH, f'{{"outcomes":[{told}]}}', headers)
                    with self._lock:
                        self.acknowledged_events += sent.count('"specversion"')
                        self.acknowledged_outcomes += told.count('"outcome"')
        except BaseException as error:
            self.failure = error

    def _taken(self) -> Iterator[int]:
        while True:
            with self._lock:
                number = next(self._numbers, None)
            if number is None or self.failure is not None:
                return
            yield number

    def _post(self, connection: http.client.HTTPConnection, path: str, body: str, headers: dict[str, str]) -> None:
        for attempt in itertools.count(1):
            connection.request("POST", path, body.encode(), headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == 200:
                return
            if answer.status != 503 or attempt == 10:
                raise RuntimeError(f"{path}: {answer.status} {said.decode()[:500]}")
            time.sleep(float(answer.headers["retry-after"]))
