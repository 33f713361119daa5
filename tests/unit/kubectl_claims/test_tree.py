"""What ``get`` shows, and what it leaves out."""

from rollout_builders import ago, analysed, at_rest, healthy, recorded, retiring, served, tried
from unit.kubectl_claims.scenes import model_of, picture, ready_pod, scene_of, waiting_pod

from claims_operator.core.analysis import Verdict
from kubectl_claims.scene import Scene


def line(text: str, begin: str) -> list[str]:
    """Return the words of the line that begins so, without the tree's branches."""
    [found] = [row for row in text.splitlines() if row.lstrip("│├└─ ").startswith(begin)]
    return found.lstrip("│├└─ ").split()


def test_a_rollout_shows_who_takes_how_many_requests() -> None:
    text = picture(scene_of(healthy(analysis=analysed(errors=Verdict.INCONCLUSIVE))))

    assert line(text, "State:") == ["State:", "Progressing", "(Inconclusive)"]
    assert line(text, "old ")[1:] == ["Revision", "1/1", "ready", "-", "stable,", "1.0.0,", "95", "%"]
    assert line(text, "new ")[1:] == ["Revision", "1/1", "ready", "-", "candidate,", "2.0.0,", "5", "%"]
    assert line(text, "claim-risk-new-predictor")[1:] == ["Pod", "Ready", "20m"]


def test_the_steps_say_which_is_under_way() -> None:
    text = picture(scene_of(healthy(analysis=analysed(errors=Verdict.INCONCLUSIVE))))
    steps = [row.split() for row in text.splitlines() if row.lstrip().startswith(("1 ", "2 ", "3 "))]

    assert [" ".join(step) for step in steps] == [
        "1 5 % 1m 100 under way for 10m",
        "2 20 % 1m 100 to come",
        "3 50 % 1m 100 to come",
    ]


def test_every_metric_has_verdict_estimate_interval_samples_and_message() -> None:
    text = picture(scene_of(healthy(analysis=analysed(latency=Verdict.INCONCLUSIVE))))

    assert line(text, "latency ") == ["latency", "Inconclusive", "0.0010", "[-0.0010,", "0.0030]", "1000", "9000"]
    assert "latency: latency says Inconclusive" in text.splitlines()


def test_wide_shows_the_queries_and_what_a_revision_is() -> None:
    seen = scene_of(healthy(analysis=analysed(latency=Verdict.INCONCLUSIVE)))

    assert "QUERY" in picture(seen, wide=True)
    assert "models:/claim-risk/1 sha256:" in picture(seen, wide=True)
    assert "QUERY" not in picture(seen)


def test_a_candidate_without_pods_is_seen_to_have_no_weight() -> None:
    status = recorded(candidate=tried(weight=0, step=2, step_started_at=ago(minutes=1)))
    text = picture(scene_of(healthy(status=status, analysis=None, revisions={})))

    assert "under way for 1m, without weight: its pods are not available" in text


def test_what_is_wrong_with_a_pod_is_its_state() -> None:
    pod = waiting_pod("new", "ImagePullBackOff", "no such image")
    text = picture(scene_of(healthy(), pods=(pod,)))

    assert line(text, "claim-risk-new-predictor")[2:] == ["ImagePullBackOff", "20m", "4", "restarts"]
    assert line(text, "new ")[2:4] == ["0/1", "ready"]


def test_a_retiring_revision_says_until_when_it_is_warm() -> None:
    status = recorded(candidate=None, retiring=(retiring(remove_after=ago(minutes=-5)),))
    text = picture(scene_of(at_rest(status=status)))

    assert "retiring, 0.9.0, warm until 12:05:00 UTC (in 5m)" in text


def test_pods_of_a_revision_that_the_status_forgot_are_still_shown() -> None:
    text = picture(scene_of(at_rest(), pods=(ready_pod("older"),)))

    assert line(text, "older")[-1] == "leaving"


def test_a_spec_that_the_operator_has_not_seen_is_pointed_out() -> None:
    text = picture(scene_of(at_rest(), model=model_of(at_rest(), generation=7)))

    assert "the operator has not answered to generation 7 of the spec yet" in text


def test_an_object_without_a_status_is_shown_as_it_is() -> None:
    model = model_of(at_rest())
    del model["status"]
    text = picture(Scene(model=model))

    assert line(text, "State:") == ["State:", "Unknown"]


def test_what_could_not_be_read_is_said() -> None:
    text = picture(
        scene_of(at_rest(), pods=(), unseen=('could not list pods: pods is forbidden: User "x" cannot list',))
    )

    assert "not shown: could not list pods: pods is forbidden" in text


def test_a_pipe_gets_no_colours_and_no_blanks_at_the_end() -> None:
    text = picture(scene_of(healthy(status=recorded(stable=served(version="1.0.0-" + "a" * 50)))))

    assert "\x1b" not in text
    assert [row for row in text.splitlines() if row != row.rstrip()] == []
