"""Which PromQL is asked, and what the gateway's and the feedback service's metrics mean."""

import json
import re
from collections.abc import Iterable
from typing import Final

from claims_contract import metrics
from claims_operator.api.outcomes import OUTCOME_METRICS
from claims_operator.core.limits import Limits, Window
from claims_operator.core.snapshot import ABANDONED_CONNECTION, ABANDONED_STREAM, Scope

HTTP_ANSWERS: Final = "envoy_cluster_upstream_rq_xx"
"""Counter of HTTP answers by class, per backendRef."""
RESPONSE_CLASS_LABEL: Final = "envoy_response_code_class"
REQUEST_TIME_BUCKET: Final = "envoy_cluster_upstream_rq_time_bucket"
"""Histogram of request times; its edges are milliseconds."""
ABANDONED: Final = {
    "envoy_cluster_upstream_rq_tx_reset": ABANDONED_STREAM,
    "envoy_cluster_upstream_cx_destroy_local_with_active_rq": ABANDONED_CONNECTION,
}
"""Counters of requests that the caller or the gateway's own timeout gave up, and their kinds. They are in no other
counter (a timeout of the gateway also counts as a 5xx), so that a model that hangs would look like one without
requests."""
GRPC_ANSWERS: Final = "envoy_cluster_grpc_(.+_)?[0-9]+"
"""Names of the counters of gRPC answers, one per method and status number, for example
``envoy_cluster_grpc_ModelInfer_14`` (Envoy leaves the method in the name where the service's name has a dot). They
exist when the EnvoyProxy sets ``telemetry.metrics.enableGRPCStats: true``."""
GRPC_METHOD_LABELS: Final = ("envoy_grpc_bridge_method", "envoy_grpc_bridge_service")
"""Where Envoy puts the method otherwise."""
GRPC_STATUS_LABEL: Final = "grpc_status"
"""Label of our own query for the status number."""
CLUSTER_LABEL: Final = "envoy_cluster_name"
CLUSTER_PATTERN: Final = re.compile(r"httproute/([^/]+)/([^/]+)/rule/(\d+)/backend/(\d+)")
"""What Envoy Gateway calls a backendRef: namespace, route, index of the rule, index of the backendRef."""

GRPC_RULE: Final = 0
"""Index of our HTTPRoutes' rule for gRPC."""
REST_RULE: Final = 1
"""Index of our HTTPRoutes' rule for REST."""

FAULT_CLASS: Final = "5"
"""HTTP answers that are the server's fault."""

FAULT_STATUSES: Final = (2, 4, 13, 14, 15)
"""gRPC statuses that are the server's fault: UNKNOWN (an exception nobody caught), DEADLINE_EXCEEDED (too slow for the
caller), INTERNAL, UNAVAILABLE (no healthy pod, connection lost), DATA_LOSS. The others tell of the caller: CANCELLED,
INVALID_ARGUMENT, NOT_FOUND, the rights and preconditions, RESOURCE_EXHAUSTED (too large or too many, as HTTP 429) and
UNIMPLEMENTED (a method that does not exist, as HTTP 404)."""


CLOCK: Final = "time()"
"""Query for the time that Prometheus has, in seconds since 1970."""


MatchLabels = tuple[tuple[str, str], ...]
"""Names and values of labels that a series must have to count: of several clusters in one Prometheus, ours."""


def gateway_counters(
    scope: Scope, edges: Iterable[float], *, window_seconds: int, match_labels: MatchLabels = ()
) -> str:
    """Return the query for answers and times of many ClaimsModels: raw samples of the last ``window_seconds``.

    ``edges``: of the latency buckets to read, in milliseconds. A range, not an instant: only so does Prometheus return
    the time of each scrape, and nothing older.
    """
    # The empty one: counters, which have no such label.
    le = "|".join(["", *map(_edge, sorted(edges)), r"\\+Inf"])
    names = "|".join([HTTP_ANSWERS, REQUEST_TIME_BUCKET, *ABANDONED])
    return f'{{__name__=~"{names}",{_backends(scope)},le=~"{le}"{_matched(match_labels)}}}[{window_seconds}s]'


def _backends(scope: Scope) -> str:
    """Return what selects the backendRefs. Names are DNS labels: nothing in them means anything else to Prometheus."""
    routes = (
        ".+" if scope.models is None else f"({'|'.join(f'{space}/{name}' for space, name in sorted(scope.models))})"
    )
    return f'{CLUSTER_LABEL}=~"httproute/{routes}/rule/[0-9]+/backend/[0-9]+"'


def _matched(match_labels: MatchLabels) -> str:
    """Return the labels that a series must have, as the end of a selector."""
    return "".join(f",{name}={json.dumps(value)}" for name, value in match_labels)


def _edge(milliseconds: float) -> str:
    """Return the regular expression of a bucket edge as Envoy writes it (250) and as Prometheus 3 does (250.0)."""
    spellings = {f"{milliseconds:.15g}", repr(float(milliseconds)), f"{milliseconds:g}"}
    return "|".join(re.escape(spelling).replace("\\", "\\\\") for spelling in sorted(spellings))


def grpc_answers(scope: Scope, *, window_seconds: int, match_labels: MatchLabels = ()) -> str:
    """Return the query for gRPC answers by status, of many ClaimsModels.

    Envoy counts each method apart, and makes one of whatever name a client sends: Prometheus adds them up, so that the
    answer has at most 17 series per backendRef and scrape target. The values are those of the last scrape; its time is
    that of the other counters of the same target.
    """
    selector = f'{{__name__=~"{GRPC_ANSWERS}",{_backends(scope)}{_matched(match_labels)}}}'
    by_status = (
        f"label_replace(last_over_time({selector}[{window_seconds}s]),"
        f' "{GRPC_STATUS_LABEL}", "$1", "__name__", "envoy_cluster_grpc_(?:.+_)?([0-9]+)")'
    )
    return f"sum without (__name__, {', '.join(GRPC_METHOD_LABELS)}) ({by_status})"


OUTCOME_TOTALS: Final = (
    metrics.OUTCOMES_TOTAL,
    metrics.REPRESENTATIVE_OUTCOMES_TOTAL,
    f"{metrics.RELATIVE_ERROR}_bucket",
    f"{metrics.REPRESENTATIVE_RELATIVE_ERROR}_bucket",
    metrics.PREDICTIONS_TOTAL,
)
"""Predictions tell which share of them got an outcome."""


def outcome_totals(scope: Scope, *, window_seconds: int, match_labels: MatchLabels = ()) -> str:
    """Return the query for the outcomes of many ClaimsModels: raw samples of the last ``window_seconds``."""
    models = ""
    if scope.models is not None:
        namespaces, names = ("|".join(sorted(set(words))) for words in zip(*scope.models, strict=True))
        models = f',model_namespace=~"{namespaces}",model_name=~"{names}"'
    return f'{{__name__=~"{"|".join(OUTCOME_TOTALS)}"{models}{_matched(match_labels)}}}[{window_seconds}s]'


def latency_edges(match_labels: MatchLabels = ()) -> str:
    """Return the query for the edges of the gateway's latency buckets."""
    return f'group by (le) ({REQUEST_TIME_BUCKET}{{{CLUSTER_LABEL}=~"httproute/.+"{_matched(match_labels)}}})'


def shown_errors(window: Window) -> str:
    """Return the query that shows a person the counters behind `errors`."""
    names = f"{HTTP_ANSWERS}|{GRPC_ANSWERS}"
    return (
        f"sum by (__name__, {CLUSTER_LABEL}, {RESPONSE_CLASS_LABEL}) "
        f'({{__name__=~"{names}",{CLUSTER_LABEL}=~"{_clusters(window)}"}})'
    )


def shown_latency(window: Window, threshold_milliseconds: int) -> str:
    """Return the query that shows a person the counters behind `latency`."""
    le = rf"|{threshold_milliseconds}(\\.0)?|\\+Inf"
    names = "|".join([REQUEST_TIME_BUCKET, *ABANDONED])
    return (
        f"sum by (__name__, {CLUSTER_LABEL}, le) "
        f'({{__name__=~"{names}",{CLUSTER_LABEL}=~"{_clusters(window)}",le=~"{le}"}})'
    )


def shown_outcomes(window: Window, *, is_of_sample: bool, is_numeric: bool = False) -> str:
    """Return the query that shows a person the counters behind `accuracy`, `precision` and `recall`."""
    if is_numeric:
        name = f"{metrics.REPRESENTATIVE_RELATIVE_ERROR if is_of_sample else metrics.RELATIVE_ERROR}_bucket"
    else:
        name = metrics.REPRESENTATIVE_OUTCOMES_TOTAL if is_of_sample else metrics.OUTCOMES_TOTAL
    return (
        f"max by (revision, epoch, {'le' if is_numeric else 'result'}) ({name}"
        f'{{model_namespace="{window.namespace}",model_name="{window.name}",attempt="{window.attempt}"}})'
    )


def shown(metric: str, window: Window, limits: Limits) -> str:
    """Return the query that shows a person the counters behind a metric."""
    if metric == "latency" and limits.latency is not None:
        return shown_latency(window, limits.latency.threshold_milliseconds)
    if metric in OUTCOME_METRICS:
        is_numeric = limits.accuracy is not None and limits.accuracy.tolerance is not None
        return shown_outcomes(window, is_of_sample=limits.labels.is_sample, is_numeric=is_numeric)
    return shown_errors(window)


def _clusters(window: Window) -> str:
    slots = [slot for slot in (window.stable_slot, window.candidate_slot) if slot is not None]
    either = "|".join(str(slot) for slot in sorted(slots))
    name = window.name.replace(".", r"\\.")  # Escaped for the regular expression, and again for PromQL's string.
    return f"httproute/{window.namespace}/{name}/rule/[0-9]+/backend/({either})"
