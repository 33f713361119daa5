"""What breaks around a rollout, and what the operator makes of it."""

import contextlib
import datetime as dt

import pytest
from played_cluster import Quality
from played_world import NAME, World, claims_model, is_true, model

from claims_cluster.controlplane import ControlPlane
from claims_operator.api import names
from claims_operator.api.names import Manifest
from claims_operator.errors import TickIncomplete


async def route_of(world: World) -> Manifest | None:
    return await world.cluster.get(names.HTTP_ROUTE, world.key.namespace, NAME)


async def test_a_process_that_dies_before_any_write_changes_no_outcome(world: World) -> None:
    await world.create()
    await world.run_until(lambda status: status.state == "Serving" and is_true(status, "Ready"), dying=True)
    await world.change(model=model(2, "2.0.0"))
    status = await world.run_until(
        lambda status: status.stable is not None and status.stable.version == "2.0.0" and not status.retiring,
        dying=True,
    )
    await world.step_dying_everywhere()

    assert (status.traffic.attempt, status.rejected, status.stable.slot) == (2, (), 1)
    assert len(await world.children(names.INFERENCE_SERVICE)) == 1
    assert [sorted(seen.values()) for seen in world.gateway.history] == [[100], [10, 90], [50, 50], [100]]


async def test_a_rollback_survives_deaths_too(world: World) -> None:
    await world.serve_first_version()
    world.traffic.qualities["2.0.0"] = Quality(failed=0.3)
    await world.change(model=model(2, "2.0.0"))

    status = await world.run_until(lambda status: status.state == "RolledBack" and not status.retiring, dying=True)

    assert (status.stable.version, status.traffic.attempt, len(status.rejected)) == ("1.0.0", 2, 1)


async def test_a_candidate_without_pods_gives_its_weight_back_until_they_return(world: World) -> None:
    await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))
    began = await world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 10)
    world.kserve.down.add("2")

    away = await world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 0)
    assert away.traffic.epoch == began.traffic.epoch + 1
    assert (began.candidate.slot, away.candidate.slot) == (1, None)
    assert world.gateway.history[-1] == {away.stable.revision: 100}
    waiting = await world.run_until(lambda status: status.reason == "WaitingForReplicas")
    assert waiting.candidate.step == 1
    world.kserve.down.clear()
    done = await world.run_until(lambda status: status.stable.version == "2.0.0")

    assert done.rejected == ()


async def test_children_that_were_deleted_or_edited_by_hand_are_put_right(world: World) -> None:
    status = await world.serve_first_version()
    await world.step()
    [service] = await world.children(names.INFERENCE_SERVICE)
    await world.cluster.delete(names.INFERENCE_SERVICE, service)
    route = await route_of(world)
    del route["spec"]["rules"][1]["backendRefs"][1]
    await world.cluster.replace(names.HTTP_ROUTE, route)

    await world.step()

    [repaired] = await world.children(names.INFERENCE_SERVICE)
    assert repaired["metadata"]["uid"] != service["metadata"]["uid"]
    backends = (await route_of(world))["spec"]["rules"][1]["backendRefs"]
    assert [backend["weight"] for backend in backends] == [999_999, 1]
    await world.cluster.delete(names.HTTP_ROUTE, await route_of(world))
    await world.step()
    assert (await route_of(world)) is not None
    assert (await world.status()).stable == status.stable


async def test_the_manifests_set_every_field_that_the_api_server_would_default(world: World) -> None:
    await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))
    await world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 10)
    await world.step()

    live = await route_of(world)
    ours = next(entry for entry in live["metadata"]["managedFields"] if entry["manager"] == names.FIELD_MANAGER)
    assert ours["operation"] == "Apply"
    owned = ours["fieldsV1"]["f:spec"]
    assert set(owned) == {f"f:{field}" for field in live["spec"]}
    backend = live["spec"]["rules"][0]["backendRefs"][0]
    assert set(backend) == {"group", "kind", "name", "port", "weight", "filters"}
    assert set(live["spec"]["parentRefs"][0]) == {"group", "kind", "name", "namespace"}


async def test_an_object_of_somebody_else_is_refused_and_left_alone(world: World) -> None:
    stranger = {
        "apiVersion": names.HTTP_ROUTE.api_version,
        "kind": names.HTTP_ROUTE.kind,
        "metadata": {"name": NAME, "namespace": world.key.namespace},
        "spec": {"hostnames": ["somebody.else.example"]},
    }
    await world.cluster.create(names.HTTP_ROUTE, stranger)
    world.gateway.asleep = True
    await world.create()

    status = await world.run_until(lambda status: status.state == "Blocked")

    assert status.reason == "NameTaken"
    assert f"HTTPRoute {world.key} exists and does not belong to this ClaimsModel" in status.message
    assert is_true(status, "Stalled")
    assert (await route_of(world))["spec"]["hostnames"] == ["somebody.else.example"]
    await world.cluster.delete(names.HTTP_ROUTE, await route_of(world))
    world.gateway.asleep = False
    await world.run_until(lambda status: status.state == "Serving")


async def test_a_version_that_the_registry_does_not_know_blocks_until_it_does(world: World) -> None:
    await world.create(model=model(9, "9.0.0"))

    status = await world.run_until(lambda status: status.state == "Blocked")
    assert (status.reason, is_true(status, "Stalled")) == ("ModelNotFound", True)
    world.models.versions["9"] = "9.0.0"

    assert (await world.run_until(lambda status: status.state == "Serving")).stable.uri == "models:/claim-risk/9"


async def test_a_version_that_is_not_what_the_spec_says_is_refused(world: World) -> None:
    await world.create(model=model(2, "1.9.0"))

    status = await world.run_until(lambda status: status.state == "Blocked")

    assert status.reason == "ModelUnusable"
    assert "models:/claim-risk/2 is version 2.0.0" in status.message
    assert "write spec.model.version: 2.0.0" in status.message


async def test_an_alias_is_pinned_once(world: World) -> None:
    status = await world.serve_first_version(
        model={"version": "1.0.0", "uri": "models:/claim-risk@champion", "format": {"name": "sklearn"}}
    )
    world.models.aliases["champion"] = "2"
    asked = world.models.asked
    world.ticker = world.new_process()
    await world.step()

    assert status.stable.uri == "models:/claim-risk/1"
    assert (await world.status()).stable == status.stable
    assert world.models.asked == asked


async def test_a_gateway_that_does_not_answer_keeps_the_old_revision_alive(world: World) -> None:
    await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))
    await world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 50)
    world.gateway.asleep = True
    await world.run_until(lambda status: status.stable.version == "2.0.0")
    for _ in range(30):
        status = await world.step()

    assert [(old.version, old.out_since) for old in status.retiring] == [("1.0.0", None)]
    assert world.clock.now() > status.retiring[0].remove_after
    assert len(await world.children(names.INFERENCE_SERVICE)) == 2
    world.gateway.asleep = False
    await world.run_until(lambda status: not status.retiring)


async def test_the_route_goes_first_when_a_claims_model_is_deleted(world: World) -> None:
    await world.serve_first_version()
    await world.cluster.delete(names.CLAIMS_MODEL, await world.live())
    # The API server stamps the deletion with the real time.
    world.clock.time = dt.datetime.now(dt.UTC).replace(microsecond=0)

    await world.ticker.tick(world.key)
    assert await route_of(world) is None
    assert (await world.status()).state == "Deleting"
    assert len(await world.children(names.INFERENCE_SERVICE)) == 1
    await world.ticker.tick(world.key)
    assert (await world.live())["metadata"]["finalizers"] == [names.FINALIZER]
    world.clock.advance(10)
    await world.ticker.tick(world.key)

    assert await world.cluster.get(names.CLAIMS_MODEL, world.key.namespace, NAME) is None
    assert (await world.ticker.tick(world.key)).is_gone


async def test_a_namespace_that_is_being_deleted_is_let_go(world: World, api_server: ControlPlane) -> None:
    await world.serve_first_version()
    # No namespace controller runs here: what it would do is done by hand, in its order, which is none.
    api_server.kubectl("delete", "namespace", world.key.namespace, "--wait=false")
    for kind in (names.INFERENCE_SERVICE, names.HTTP_ROUTE, names.CLAIMS_MODEL):
        for item in [await world.live()] if kind == names.CLAIMS_MODEL else await world.children(kind):
            await world.cluster.delete(kind, item)
    world.clock.time = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(seconds=10)

    await world.ticker.tick(world.key)

    assert await world.cluster.get(names.CLAIMS_MODEL, world.key.namespace, NAME) is None


async def test_a_child_that_is_not_ours_any_more_does_not_keep_a_bad_candidate_in_traffic(world: World) -> None:
    await world.serve_first_version()
    world.traffic.qualities["2.0.0"] = Quality(failed=0.5)
    await world.change(model=model(2, "2.0.0"))
    began = await world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 10)
    [service] = [
        item
        for item in await world.children(names.INFERENCE_SERVICE)
        if item["metadata"]["labels"]["claimsmodel.io/revision"] == began.stable.revision
    ]
    service["metadata"]["ownerReferences"] = []
    await world.cluster.replace(names.INFERENCE_SERVICE, service)

    for _ in range(10):
        with contextlib.suppress(TickIncomplete):
            await world.ticker.tick(world.key)
        await world.play(10)

    assert (await world.status()).rejected[0].reason == "ErrorsFailed"
    assert world.gateway.history[-1] == {began.stable.revision: 100}


async def test_two_claims_models_of_one_name_and_two_namespaces_do_not_meet(
    world: World, api_server: ControlPlane
) -> None:
    await world.serve_first_version()
    api_server.kubectl("create", "namespace", f"{world.key.namespace}-b")
    await world.cluster.create(names.CLAIMS_MODEL, claims_model(f"{world.key.namespace}-b"))

    assert len(await world.children(names.INFERENCE_SERVICE)) == 1


@pytest.mark.parametrize("field", ["steps", "margins"])
async def test_a_change_of_the_rules_during_a_rollout_is_no_new_attempt(world: World, field: str) -> None:
    await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))
    await world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 10)
    spec = (await world.live())["spec"]
    if field == "steps":
        await world.change(rollout={**spec["rollout"], "steps": spec["rollout"]["steps"][:1]})
    else:
        errors = {"maxRatio": "0.06", "margin": "0.05"}
        await world.change(analysis={**spec["analysis"], "errors": errors})

    done = await world.run_until(lambda status: status.stable.version == "2.0.0")

    assert (done.traffic.attempt, done.rejected) == (2, ())
