"""Whole rollouts against a real API server."""

import json
from typing import Any

from played_cluster import Quality
from played_world import ANALYSIS, ROLLOUT, World, model

from claims_cluster.controlplane import ControlPlane
from claims_operator.api import names

SOON_OVERDUE = {**ROLLOUT, "progressDeadline": "2m"}


def weights_of(world: Any, version: str) -> list[int]:
    """Return the percents a version went through, as the gateway saw them."""
    revisions = {revision for revision, known in world.traffic.versions.items() if known == version}
    return [weight for seen in world.gateway.history for revision, weight in seen.items() if revision in revisions]


async def test_the_first_version_serves_as_soon_as_it_is_ready(world: World) -> None:
    status = await world.serve_first_version()

    assert (status.stable.version, status.stable.slot, status.candidate) == ("1.0.0", 0, None)
    assert status.url == f"http://claim-risk-{world.key.namespace}.claims.local"
    assert world.gateway.history == [{status.stable.revision: 100}]


async def test_a_good_version_goes_up_by_steps_and_is_promoted(world: World) -> None:
    first = await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))

    promoted = await world.run_until(lambda status: status.stable.version == "2.0.0")
    # The old version leaves the route at once; its pods stay warm for a while.
    assert [old.version for old in promoted.retiring] == ["1.0.0"]
    settled = await world.run_until(lambda status: not status.retiring)

    assert weights_of(world, "2.0.0") == [10, 50, 100]
    assert world.clock.now() >= promoted.retiring[0].remove_after
    assert (settled.stable.slot, settled.state, settled.candidate) == (1, "Serving", None)
    await world.step()
    services = await world.children(names.INFERENCE_SERVICE)
    assert [service["metadata"]["labels"]["claimsmodel.io/revision"] for service in services] == [
        settled.stable.revision
    ]
    assert settled.stable.revision != first.stable.revision


async def test_the_next_version_takes_the_slot_that_became_free(world: World) -> None:
    await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))
    await world.run_until(lambda status: status.stable.version == "2.0.0")
    world.traffic.qualities["3.0.0"] = Quality(failed=0.3)
    await world.change(model=model(3, "3.0.0"))

    tried = await world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 10)
    assert (tried.stable.slot, tried.candidate.slot) == (1, 0)
    # What the slot counted for the first version, all of it good, does not speak for the third.
    status = await world.run_until(lambda status: status.state == "RolledBack")

    assert (status.stable.version, status.stable.slot) == ("2.0.0", 1)
    assert status.rejected[0].reason == "ErrorsFailed"


async def test_a_version_with_failing_requests_is_rolled_back_and_not_tried_again(world: World) -> None:
    await world.serve_first_version()
    world.traffic.qualities["2.0.0"] = Quality(failed=0.3)
    await world.change(model=model(2, "2.0.0"))

    status = await world.run_until(lambda status: status.state == "RolledBack" and not status.retiring)
    for _ in range(3):
        status = await world.step()

    assert (status.stable.version, status.candidate, status.traffic.attempt) == ("1.0.0", None, 2)
    assert [(rejected.version, rejected.reason) for rejected in status.rejected] == [("2.0.0", "ErrorsFailed")]
    assert status.message.startswith("serving 1.0.0, rejected 2.0.0: ")
    conditions = {condition.type: (condition.status, condition.reason) for condition in status.conditions}
    assert conditions["Ready"] == ("True", "Serving")
    assert conditions["Stalled"] == ("True", "RolledBack")
    assert conditions["Reconciling"][0] == "False"
    assert len(await world.children(names.INFERENCE_SERVICE)) == 1


async def test_a_slow_version_is_rolled_back_for_latency(world: World) -> None:
    await world.serve_first_version()
    world.traffic.qualities["2.0.0"] = Quality(slow=0.4)
    await world.change(model=model(2, "2.0.0"))

    status = await world.run_until(lambda status: status.state == "RolledBack")

    assert status.rejected[0].reason == "LatencyFailed"


async def test_a_version_that_decides_wrongly_is_rolled_back_for_accuracy(world: World) -> None:
    analysis = {**ANALYSIS, "accuracy": {"margin": "0.05", "deadline": "1d"}}
    await world.serve_first_version(analysis=analysis)
    world.traffic.qualities["2.0.0"] = Quality(wrong=0.3)
    await world.change(model=model(2, "2.0.0"))

    status = await world.run_until(lambda status: status.state == "RolledBack")

    assert status.rejected[0].reason == "AccuracyFailed"


async def test_a_version_that_never_becomes_ready_is_rolled_back_at_the_deadline(world: World) -> None:
    await world.serve_first_version(rollout=SOON_OVERDUE)
    world.kserve.down.add("2")
    await world.change(model=model(2, "2.0.0"))

    status = await world.run_until(lambda status: status.state == "RolledBack")

    assert status.rejected[0].reason == "ProgressDeadlineExceeded"
    assert "0 of 1 replicas" in status.rejected[0].message
    assert weights_of(world, "2.0.0") == []


async def test_without_prometheus_a_rollout_holds_and_then_goes_back(world: World) -> None:
    await world.serve_first_version(rollout=SOON_OVERDUE)
    world.traffic.silent = True
    await world.change(model=model(2, "2.0.0"))

    held = await world.run_until(lambda status: status.reason == "AnalysisError")
    assert "Prometheus does not answer" in held.message
    status = await world.run_until(lambda status: status.state == "RolledBack")

    assert status.rejected[0].reason == "ProgressDeadlineExceeded"
    assert weights_of(world, "2.0.0") == [10]


async def test_a_new_spec_during_a_rollout_starts_over_against_the_same_stable(world: World) -> None:
    await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))
    await world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 10)
    await world.change(model=model(3, "3.0.0"))

    status = await world.run_until(lambda status: status.candidate is not None and status.candidate.version == "3.0.0")
    assert (status.stable.version, status.traffic.attempt) == ("1.0.0", 3)
    done = await world.run_until(lambda status: status.stable.version == "3.0.0" and not status.retiring)

    assert done.rejected == ()
    rollouts = {
        item["spec"]["attempt"]: item["status"]["result"] for item in await world.children(names.CLAIMS_ROLLOUT)
    }
    assert rollouts == {1: "Promoted", 2: "Withdrawn", 3: "Promoted"}


async def test_going_back_to_the_stable_version_ends_the_attempt(world: World) -> None:
    await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))
    await world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 10)
    await world.change(model=model(1, "1.0.0"))

    status = await world.run_until(lambda status: status.state == "Serving" and not status.retiring)

    assert (status.stable.version, status.last_attempt.reason) == ("1.0.0", "BackToStable")


async def test_an_undo_after_a_promotion_takes_the_warm_revision_up_again(world: World) -> None:
    await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))
    promoted = await world.run_until(lambda status: status.stable.version == "2.0.0")
    warm = promoted.retiring[0]
    pods = await uids(world)
    await world.change(model=model(1, "1.0.0"))

    status = await world.run_until(lambda status: status.candidate is not None)
    assert (status.candidate.revision, status.candidate.slot, status.retiring) == (warm.revision, None, ())
    status = await world.run_until(lambda status: status.candidate.weight == 10)

    assert (status.candidate.revision, status.candidate.slot) == (warm.revision, 0)
    assert await uids(world) == pods


async def uids(world: World) -> set[str]:
    """Return which InferenceServices there are; one that was made again is another."""
    return {service["metadata"]["uid"] for service in await world.children(names.INFERENCE_SERVICE)}


async def test_each_attempt_keeps_its_evidence_by_step(world: World) -> None:
    await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))
    await world.run_until(lambda status: status.stable.version == "2.0.0")
    await world.step()

    rollouts = {item["spec"]["attempt"]: item for item in await world.children(names.CLAIMS_ROLLOUT)}
    second = rollouts[2]["status"]

    assert (second["result"], second["weight"]) == ("Promoted", 100)
    assert [(step["step"], step["weight"]) for step in second["steps"]] == [(1, 10), (2, 50)]
    assert all(step["finishedAt"] for step in second["steps"])
    # The look that ended a step is its last: what let the version go on has to be in the record.
    assert [[look["verdict"] for look in step["analysis"]] for step in second["steps"]] == [["Pass", "Pass"]] * 2
    assert rollouts[2]["spec"]["stable"]["version"] == "1.0.0"


async def test_decisions_are_told_once_each(world: World, api_server: ControlPlane) -> None:
    await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))
    await world.run_until(lambda status: status.stable.version == "2.0.0" and not status.retiring)
    await world.step()

    told = [(entry["decision"], entry["reason"]) for entry in world.audited()]
    assert told == [
        ("Begin", "AttemptStarted"),
        ("Promote", "FirstVersion"),
        ("Begin", "AttemptStarted"),
        ("Shift", "StepStarted"),
        ("Shift", "StepStarted"),
        ("Promote", "AllPassed"),
    ]
    events = json.loads(api_server.kubectl("get", "events.events.k8s.io", "-n", world.key.namespace, "-o", "json"))
    assert sorted(event["action"] for event in events["items"]) == sorted(decision for decision, _ in told)


async def test_at_rest_nothing_is_written(world: World) -> None:
    await world.serve_first_version()
    await world.step()
    before = await world.live()
    world.cluster.writes_left = 0

    await world.ticker.tick(world.key)

    assert (await world.live())["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
