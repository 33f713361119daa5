"""Prometheus' relabelling as far as the platform uses it, and what the Prometheus operator makes of a PodMonitor."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Labels = dict[str, str]
Rule = Mapping[str, Any]


def relabel(labels: Labels, rules: Sequence[Rule]) -> Labels | None:
    """Return the labels after all rules; None where a rule drops the target."""
    labels = dict(labels)
    for rule in rules:
        action = rule.get("action", "replace")
        pattern = re.compile(str(rule.get("regex", "(.*)")))
        text = ";".join(labels.get(name, "") for name in rule.get("source_labels", ()))
        match = pattern.fullmatch(text)
        if action == "replace":
            if match:
                replacement = re.sub(r"\$(\d+)", r"\\\1", str(rule.get("replacement", "$1")))
                labels[rule["target_label"]] = match.expand(replacement)
        elif action == "labeldrop":
            labels = {name: value for name, value in labels.items() if not pattern.fullmatch(name)}
        elif (action == "keep" and not match) or (action == "drop" and match):
            return None
        elif action not in {"keep", "drop"}:
            raise AssertionError(f"relabelling action {action} is not known here")
    return labels


def scraped(labels: Labels, job: Rule) -> Labels | None:
    """Return the labels that the series of a discovered target get; None where the job does not scrape it."""
    start = {**labels, "job": job["job_name"], "__metrics_path__": job.get("metrics_path", "/metrics")}
    after = relabel(start, job.get("relabel_configs", ()))
    if after is None:
        return None
    after.setdefault("instance", after["__address__"])
    shown = {name: value for name, value in after.items() if not name.startswith("__") and value}
    return {**shown, "(address)": after["__address__"], "(path)": after["__metrics_path__"]}


def jobs_of(monitor: Mapping[str, Any]) -> Iterator[Rule]:
    """Return the scrape jobs that the Prometheus operator makes of a PodMonitor, one per endpoint."""
    spec, metadata = monitor["spec"], monitor["metadata"]
    for endpoint in spec["podMetricsEndpoints"]:
        rules: list[Rule] = [
            {"source_labels": ["__meta_kubernetes_pod_phase"], "action": "drop", "regex": "(Failed|Succeeded)"}
        ]
        for key, value in spec["selector"].get("matchLabels", {}).items():
            source = [f"__meta_kubernetes_pod_label_{_sanitised(key)}"]
            rules.append({"source_labels": source, "action": "keep", "regex": f"({re.escape(value)})"})
        for expression in spec["selector"].get("matchExpressions", ()):
            assert expression["operator"] == "Exists", expression
            source = [f"__meta_kubernetes_pod_labelpresent_{_sanitised(expression['key'])}"]
            rules.append({"source_labels": source, "action": "keep", "regex": "true"})
        rules += [
            {
                "source_labels": ["__meta_kubernetes_pod_container_port_name"],
                "action": "keep",
                "regex": endpoint["port"],
            },
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": ["__meta_kubernetes_pod_container_name"], "target_label": "container"},
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
            {"target_label": "job", "replacement": f"{metadata['namespace']}/{metadata['name']}"},
            {"target_label": "endpoint", "replacement": endpoint["port"]},
            *map(_snake_case, endpoint.get("relabelings", ())),
        ]
        yield {
            "job_name": f"podMonitor/{metadata['namespace']}/{metadata['name']}/0",
            "metrics_path": endpoint["path"],
            "relabel_configs": rules,
            "metric_relabel_configs": [_snake_case(rule) for rule in endpoint.get("metricRelabelings", ())],
        }


def _sanitised(label: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", label)


def _snake_case(rule: Mapping[str, Any]) -> Rule:
    names = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    return {names.get(name, name): value for name, value in rule.items()}
