"""What the gateway is told, tick after tick: it never loses a backend that it may still send requests to."""

import datetime as dt
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollout_builders import (
    GONE,
    KEY,
    NOW,
    PLATFORM,
    READY,
    analysed,
    asked,
    claims_spec,
    healthy,
    recorded,
    retiring,
    routed,
    served,
    tried,
)

from claims_operator.api.names import Manifest
from claims_operator.api.status import ClaimsModelStatus, ClaimsRolloutStatus, Stable
from claims_operator.core import desired
from claims_operator.core.analysis import Analysis, Verdict
from claims_operator.core.facts import Facts, RouteSeen, read_route
from claims_operator.core.reconcile import Outcome, reconcile
from claims_operator.core.record import in_route

WHOLE = 1_000_000
SPEC = claims_spec(rollout={"steps": [{"weight": 5, "minDuration": "1s"}]})
VERSIONS = {"first": "1.0.0", "second": "2.0.0", "third": "3.0.0"}


def route_of(status: ClaimsModelStatus) -> Manifest:
    manifest = desired.build_http_route(KEY, "uid-1", claims_spec(), status, PLATFORM)
    return {**manifest, "metadata": {**manifest["metadata"], "generation": 1}}


def backends_of(route: Manifest, rule: int = 1) -> list[tuple[str, int]]:
    """Return revision and weight of each slot, by the header that tells clients who answered."""
    return [
        (backend["filters"][1]["responseHeaderModifier"]["set"][0]["value"], backend["weight"])
        for backend in route["spec"]["rules"][rule]["backendRefs"]
    ]


@pytest.mark.parametrize(
    ("stable", "candidate", "backends"),
    [
        pytest.param(served(), tried(weight=5), [("old", 950_000), ("new", 50_000)], id="side-by-side"),
        pytest.param(
            served(slot=1), tried(weight=20, slot=0), [("new", 200_000), ("old", 800_000)], id="the-other-way-round"
        ),
        pytest.param(served(), tried(weight=1), [("old", 990_000), ("new", 10_000)], id="the-least-step"),
        pytest.param(served(), tried(weight=99), [("old", 10_000), ("new", 990_000)], id="the-largest-step"),
        pytest.param(served(), None, [("old", 999_999), ("old", 1)], id="stable-fills-the-second-slot"),
        pytest.param(served(slot=1), None, [("old", 1), ("old", 999_999)], id="stable-fills-the-first-slot"),
        pytest.param(
            served(), tried(weight=0), [("old", 999_999), ("old", 1)], id="a-candidate-without-weight-is-not-in-it"
        ),
    ],
)
def test_the_backends_of_a_route(stable: Stable, candidate: object, backends: list[tuple[str, int]]) -> None:
    route = route_of(recorded(stable=stable, candidate=candidate, retiring=(retiring(),)))

    assert [backends_of(route, rule) for rule in (0, 1)] == [backends, backends]


def test_without_a_stable_revision_there_is_no_route() -> None:
    status = recorded(stable=None, candidate=tried(step=0, weight=0))

    children = desired.build_children(KEY, "uid-1", claims_spec(), status, PLATFORM)

    assert [child["kind"] for child in children] == ["InferenceService", "ClaimsRollout"]


# Whole histories ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What happens before one tick."""

    seconds: int
    target: str
    ready: frozenset[str]
    """Revisions with all their pods; the others have none."""
    analysis: Analysis
    follows: bool
    """Whether the gateway takes over the route that was applied last."""


def turns_of(target: str) -> st.SearchStrategy[Turn]:
    some = st.sets(st.sampled_from(sorted(VERSIONS))).map(frozenset)
    good, bad = analysed(), analysed(rollback="worse", errors=Verdict.FAIL)
    return st.builds(
        Turn,
        seconds=st.sampled_from([1, 10, 60, 900]),
        target=st.just(target),
        # A rollout comes far only where most turns are good ones.
        ready=st.just(frozenset(VERSIONS)) | st.just(frozenset(VERSIONS)) | some,
        analysis=st.sampled_from([good, good, good, bad]),
        follows=st.sampled_from([True, True, False]),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Turn]:
    """Turns in runs of one target, so that attempts get somewhere."""
    turns: list[Turn] = []
    for target in draw(st.lists(st.sampled_from(sorted(VERSIONS)), min_size=1, max_size=5)):
        turns.extend(draw(st.lists(turns_of(target), min_size=1, max_size=6)))
    return turns


@dataclass(kw_only=True)
class Played:
    """The cluster around one ClaimsModel: what was recorded, applied, and taken over by the gateway."""

    status: ClaimsModelStatus
    now: dt.datetime = NOW
    applied: Manifest | None = None
    programmed: Manifest | None = None

    def turn(self, turn: Turn) -> tuple[Facts, Outcome]:
        """Let a turn happen; return what the tick knew and what came of it."""
        self.now += dt.timedelta(seconds=turn.seconds)
        if turn.follows:
            self.programmed = self.applied
        candidate = self.status.candidate
        facts = healthy(
            spec=SPEC,
            status=self.status,
            target=asked(turn.target, VERSIONS[turn.target]),
            revisions={revision: READY if revision in turn.ready else GONE for revision in VERSIONS},
            route=self._route_seen(),
            analysis=turn.analysis if candidate is not None and candidate.weight else None,
            rollout=ClaimsRolloutStatus(judged_at=self.now),
            generation=self.status.traffic.attempt,  # What was rejected may be tried again after another.
            now=self.now,
        )
        outcome = reconcile(facts)
        self.status = outcome.status
        routes = [manifest for manifest in outcome.manifests if manifest["kind"] == "HTTPRoute"]
        self.applied = route_of(outcome.status) if routes else None
        return facts, outcome

    def _route_seen(self) -> RouteSeen | None:
        if self.applied is None:
            return None
        seen = read_route(self.applied, "claims", "claims-system")
        return routed(programmed=self.programmed == self.applied, revisions=seen.revisions)


@settings(deadline=None)
@given(histories())
def test_every_rule_has_two_backends_with_weight_that_share_a_million_as_recorded(turns: list[Turn]) -> None:
    played = Played(status=ClaimsModelStatus())
    had_a_route = False

    for turn in turns:
        _, outcome = played.turn(turn)
        if played.applied is None:
            assert not had_a_route, "a route never goes away"
            continue
        had_a_route = True
        candidate, stable = outcome.status.candidate, outcome.status.stable
        assert stable is not None
        percents = {stable.revision: 100}
        if candidate is not None and candidate.weight:
            percents = {stable.revision: 100 - candidate.weight, candidate.revision: candidate.weight}
        for rule in (0, 1):
            backends = backends_of(played.applied, rule)
            assert len(backends) == 2
            assert all(weight >= 1 for _, weight in backends)
            assert sum(weight for _, weight in backends) == WHOLE
            for revision, percent in percents.items():
                share = sum(weight for name, weight in backends if name == revision)
                assert share == percent * WHOLE // 100
            assert {name for name, _ in backends} == set(percents)


@settings(deadline=None)
@given(histories())
def test_a_revision_keeps_its_slot_while_it_serves(turns: list[Turn]) -> None:
    played = Played(status=ClaimsModelStatus())

    for turn in turns:
        facts, outcome = played.turn(turn)
        before = {revision.revision: slot for slot, revision in in_route(facts.status).items()}
        after = {revision.revision: slot for slot, revision in in_route(outcome.status).items()}
        assert set(after.values()) <= {0, 1}
        stays = before.keys() & after.keys()
        assert {name: before[name] for name in stays} == {name: after[name] for name in stays}


@settings(deadline=None)
@given(histories())
def test_pods_go_only_when_the_gateway_has_let_go_of_them(turns: list[Turn]) -> None:
    """A revision that took requests is deleted no sooner than the drain time after the gateway left it out."""
    played = Played(status=ClaimsModelStatus())
    left_out_at: dict[str, dt.datetime] = {}

    for turn in turns:
        facts, outcome = played.turn(turn)
        named = {name for route in (played.programmed,) if route for name, _ in backends_of(route)}
        for revision in VERSIONS:
            if revision in named:
                left_out_at.pop(revision, None)
            else:
                left_out_at.setdefault(revision, facts.now)
        kept = {revision.revision for revision in desired.wanted(outcome.status)}
        assert len(kept) == len(desired.wanted(outcome.status))
        assert named <= kept
        for old in facts.status.retiring:
            if old.revision in kept:
                continue
            assert old.out_since is not None
            assert facts.now >= max(old.remove_after, left_out_at[old.revision] + PLATFORM.drain)


def test_the_manifests_are_what_kserve_and_the_gateway_need() -> None:
    status = reconcile(healthy(route=routed(programmed=False))).status

    route, stable, candidate, rollout = desired.build_children(KEY, "uid-1", claims_spec(), status, PLATFORM)

    assert [item["kind"] for item in (route, stable, candidate, rollout)] == [
        "HTTPRoute",
        "InferenceService",
        "InferenceService",
        "ClaimsRollout",
    ]
    grpc, rest = route["spec"]["rules"]
    assert grpc["matches"][0]["headers"][0]["value"] == "application/grpc.*"
    for rule, port in ((grpc, 9000), (rest, 80)):
        assert [(ref["name"], ref["port"], ref["weight"]) for ref in rule["backendRefs"]] == [
            ("claim-risk-old-predictor", port, 950_000),
            ("claim-risk-new-predictor", port, 50_000),
        ]
    request, response = rest["backendRefs"][1]["filters"]
    assert request["requestHeaderModifier"]["set"] == [{"name": "x-claims-stratum", "value": "2.1"}]
    assert response["responseHeaderModifier"]["set"] == [{"name": "x-claims-variant", "value": "new"}]
    predictor = candidate["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 2)
    assert predictor["model"]["storageUri"] == f"models:/claim-risk/1?digest=sha256:{'0' * 64}"
    assert {entry["name"]: entry["value"] for entry in predictor["model"]["env"]} == {
        "MLSERVER_MODEL_NAME": "claim-risk",
        "CLAIMS_NAMESPACE": "claims",
        "CLAIMS_MODEL": "claim-risk",
        "CLAIMS_REVISION": "new",
        "CLAIMS_FEEDBACK_URL": "http://claims-feedback.claims-system:8080",
    }
    assert candidate["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
