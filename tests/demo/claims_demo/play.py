"""Plays the acts under steady traffic, and gathers what came of each."""

import asyncio
import dataclasses
import datetime as dt
import importlib.resources
import random
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import yaml
from kubernetes.aio.client.exceptions import ApiException

from claims_demo import acts, claims, cluster, outcomes, traffic, training, view, waiting
from claims_demo.acts import Act, Ending, Verdict
from claims_demo.board import Board, Look
from claims_demo.settings import MODEL, Settings

TRAIN_LIMIT_SECONDS = 420.0
DELETE_LIMIT_SECONDS = 180.0
FIRST_ACT_ANSWERS = 150
"""Answers that act (a) waits for once version 1 is ready: it serves, by both protocols, and nothing failed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one act."""

    act: Act
    verdict: Verdict
    decided_at: dt.datetime
    seconds: float
    rollout: Mapping[str, Any] | None
    """The ClaimsRollout of the attempt."""
    looks: Sequence[Look]
    """What the metrics said on the way."""


class Play:
    """One run of the demo on one cluster."""

    def __init__(
        self,
        settings: Settings,
        kubernetes: cluster.Cluster,
        board: Board,
        *,
        token: str,
        results: list[Result],
    ) -> None:
        """``token`` lets outcomes in at the feedback service; what comes of each act is added to ``results``."""
        self._settings = settings
        self._kubernetes = kubernetes
        self._board = board
        self._token = token
        self.run = f"demo-{secrets.token_hex(3)}"
        """Name of this run; it begins its request ids, claim ids and Jobs."""
        self._stop_traffic = asyncio.Event()
        self._results = results

    async def perform(self) -> None:
        """Play the chosen acts in turn; stops after one that did not come out as told."""
        await self._clear_stage()
        async with asyncio.TaskGroup() as background:
            tasks: list[asyncio.Task[None]] = [background.create_task(self._watch())]
            for act in acts.chosen(self._settings.acts, self._settings.training_image):
                result = await self._play(act, background, tasks)
                self._results.append(result)
                self._board.tell(f"({act.letter}) {result.verdict.sentence}, after {result.seconds:.0f} s")
                if not result.verdict.as_told:
                    break
            self._stop_traffic.set()
            watcher, *traffic_tasks = tasks
            await self._end_traffic(traffic_tasks)
            watcher.cancel()

    async def _end_traffic(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Let the requests under way end; outcomes that are not due yet are not waited for."""
        for task in tasks[:1]:
            await task
        for task in tasks[1:]:
            task.cancel()

    async def _clear_stage(self) -> None:
        self._board.doing = "removing the ClaimsModel of an earlier run"
        if await self._kubernetes.delete_claims_model(MODEL, limit_seconds=DELETE_LIMIT_SECONDS):
            self._board.tell("Removed the ClaimsModel of an earlier run")

    async def _watch(self) -> None:
        """Keep the board's view fresh. A look that fails in passing is left out: whoever waits has a limit."""
        while True:
            try:
                self._board.see(view.read(await self._kubernetes.read_claims_model(MODEL)))
            except (aiohttp.ClientError, TimeoutError):
                pass
            except ApiException as error:
                if error.status < 500 and error.status != 429:
                    raise
            await asyncio.sleep(1.0)

    async def _play(self, act: Act, background: asyncio.TaskGroup, tasks: list[asyncio.Task[None]]) -> Result:
        self._board.begin(f"({act.letter}) {act.title}")
        uri = await self._train(act)
        self._board.doing = f"applying version {act.version}"
        await self._kubernetes.apply_claims_model(build_claims_model(act, namespace=self._settings.namespace, uri=uri))
        self._board.tell(f"Applied spec.model: version {act.version}, uri {uri}")
        applied_at = asyncio.get_running_loop().time()
        verdict = await self._await_decision(act)
        decided_at = dt.datetime.now(dt.UTC)
        seconds = asyncio.get_running_loop().time() - applied_at
        if act.ending is Ending.SERVING and verdict.as_told:
            tasks += self._start_traffic(background)
            await self._await_answers()
        return Result(
            act=act,
            verdict=verdict,
            decided_at=decided_at,
            seconds=seconds,
            rollout=await self._find_rollout(act),
            looks=tuple(self._board.looks),
        )

    async def _train(self, act: Act) -> str:
        """Train the act's version in a Job, and return its URI in the registry."""
        self._board.doing = f"training version {act.version}"
        name = f"train-{MODEL}-{act.letter}-{self.run}"
        job = training.build_job(
            name,
            self._settings.training_image,
            training.arguments(MODEL, act.version, act.training),
            tracking_uri=self._settings.tracking_uri,
        )
        self._board.tell(f"Training version {act.version} (Job {name})")
        trained = training.read_result(await self._kubernetes.run_job(job, limit_seconds=TRAIN_LIMIT_SECONDS))
        self._board.tell(f"Registered {trained.uri}, accuracy {trained.accuracy:.3f} on claims held out")
        return trained.uri

    async def _await_decision(self, act: Act) -> Verdict:
        self._board.doing = f"waiting until {act.version} is {act.ending}"

        async def look() -> tuple[Verdict | None, str]:
            seen = self._board.seen
            return acts.judge(act, seen), (
                f"state {seen.state}, stable {seen.stable}, candidate {seen.candidate} at {seen.weight_percent} %, "
                f"{seen.reason or 'no reason given'}"
            )

        return await waiting.wait_for(
            f"version {act.version} to be {act.ending}",
            look,
            limit_seconds=act.limit_seconds,
            interval_seconds=0.5,
        )

    def _start_traffic(self, background: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Start requests and outcomes; both go on until the last act is over."""
        settings, ledger, loop = self._settings, self._board.ledger, asyncio.get_running_loop()
        schedule = outcomes.Schedule(
            share=settings.outcome_share,
            mean_delay_seconds=settings.outcome_delay_seconds,
            chance=random.Random(settings.seed),
        )
        load = traffic.Traffic(
            gateway_url=settings.gateway_url,
            hostname=settings.hostname,
            model=MODEL,
            batches=claims.batches(seed=settings.seed, start=0, rows=settings.rows, run=self.run),
            requests_per_second=settings.requests_per_second,
            run=self.run,
            ledger=ledger,
            answered=lambda answered: schedule.add(answered, loop.time()),
        )
        poster = outcomes.OutcomePoster(
            url=settings.feedback_url,
            token=self._token,
            namespace=settings.namespace,
            model=MODEL,
            schedule=schedule,
            ledger=ledger,
        )
        self._board.tell(
            f"Traffic starts: {settings.requests_per_second:g} requests a second of {settings.rows} claims, "
            f"REST and gRPC in turn, to {settings.hostname} at {settings.gateway_url}"
        )
        return [background.create_task(load.run(self._stop_traffic)), background.create_task(poster.run())]

    async def _await_answers(self) -> None:
        self._board.doing = "serving version 1"
        ledger = self._board.ledger

        async def look() -> tuple[bool | None, str]:
            done = ledger.answered >= FIRST_ACT_ANSWERS
            first = f", the first failure: {ledger.failures[0]}" if ledger.failures else ""
            return True if done else None, f"{ledger.answered} answers of {ledger.sent} requests{first}"

        await waiting.wait_for(f"{FIRST_ACT_ANSWERS} answers through the gateway", look, limit_seconds=120)

    async def _find_rollout(self, act: Act) -> Mapping[str, Any] | None:
        """Return the newest ClaimsRollout of the act's version; the first version has none to compare with."""
        for rollout in reversed(await self._kubernetes.list_rollouts(MODEL)):
            if rollout["spec"]["candidate"]["version"] == act.version:
                return rollout
        return None


def build_claims_model(act: Act, *, namespace: str, uri: str) -> dict[str, Any]:
    """Return the demo's ClaimsModel, with the act's version."""
    text = importlib.resources.files("claims_demo").joinpath("claimsmodel.yaml").read_text(encoding="utf-8")
    manifest: dict[str, Any] = yaml.safe_load(text)
    manifest["metadata"] = {"name": MODEL, "namespace": namespace}
    manifest["spec"]["model"] |= {"version": act.version, "uri": uri, "format": {"name": act.format}}
    return manifest
