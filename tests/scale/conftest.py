from pathlib import Path

import pytest

from tests.cluster import Cluster

from .case import ENVIRONMENT, ClusterCase

HERE = Path(__file__).resolve().parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    # Minutes of faults among many processes: asked for by `pytest -m slow tests/scale`.
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def cluster():
    """One for all: its servers and first web process take longer to start than most tests."""
    with Cluster(**ENVIRONMENT) as ClusterCase.cluster:
        ClusterCase.web = ClusterCase.cluster.web()
        yield
