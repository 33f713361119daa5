"""Fixtures of the tests that bring clusters up."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from second_cluster import CLUSTER, command

from claims_cluster import settings


@pytest.fixture
def cluster() -> Iterator[settings.Cluster]:
    """The second cluster, down before and after the test."""
    command("down")
    Path("/run/claims-cluster").mkdir(exist_ok=True)
    Path("/var/lib/claims-cluster").mkdir(exist_ok=True)
    yield CLUSTER
    command("down")
