"""Health along whole rollouts, of the objects as the API server keeps them."""

from argocd_lua import health_of
from played_cluster import Quality
from played_world import World, model

from claims_operator.api import names
from claims_operator.api.status import ClaimsModelStatus


async def healths_until(world: World, state: str, version: str) -> list[str]:
    """Go on until the ClaimsModel rests as wanted; return the healths it went through, each once."""
    seen = [health_of(await world.live()).status]
    for _ in range(120):
        status = await world.step()
        remember(world, status)
        health = health_of(await world.live()).status
        seen += [health] if health != seen[-1] else []
        if status.state == state and status.stable is not None and status.stable.version == version:
            return seen
    raise AssertionError(f"not reached: {seen}")


def remember(world: World, status: ClaimsModelStatus) -> None:
    """Let the played traffic know which revision is which version."""
    for revision in (status.stable, status.candidate, *status.retiring):
        if revision is not None:
            world.traffic.versions[revision.revision] = revision.version


async def test_a_first_version_and_a_good_one_progress_until_healthy(world: World) -> None:
    await world.create()
    assert await healths_until(world, "Serving", "1.0.0") == ["Progressing", "Healthy"]
    await world.change(model=model(2, "2.0.0"))

    assert await healths_until(world, "Serving", "2.0.0") == ["Progressing", "Healthy"]
    rollouts = await world.children(names.CLAIMS_ROLLOUT)
    assert {health_of(rollout).status for rollout in rollouts} == {"Healthy"}


async def test_a_bad_one_is_degraded_with_what_serves_and_what_was_rejected(world: World) -> None:
    await world.serve_first_version()
    world.traffic.qualities["2.0.0"] = Quality(failed=0.3)
    await world.change(model=model(2, "2.0.0"))

    assert await healths_until(world, "RolledBack", "1.0.0") == ["Progressing", "Degraded"]
    health = health_of(await world.live())
    assert health.message.startswith("serving 1.0.0, rejected 2.0.0: ")
    await world.change(model=model(1, "1.0.0"))
    assert await healths_until(world, "Serving", "1.0.0") == ["Progressing", "Healthy"]
