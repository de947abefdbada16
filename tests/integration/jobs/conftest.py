"""A workshop for each test."""

import pytest

from tests.integration.jobs.workshop import Workshop


@pytest.fixture
def workshop() -> Workshop:
    return Workshop()
