import pytest

from tests.cluster import Cluster

from .case import ENVIRONMENT, ClusterCase


@pytest.fixture(scope="package", autouse=True)
def cluster():
    """One for all: its servers and first web process take longer to start than most tests."""
    with Cluster(**ENVIRONMENT) as ClusterCase.cluster:
        ClusterCase.web = ClusterCase.cluster.web()
        yield
