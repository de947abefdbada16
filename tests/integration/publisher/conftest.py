"""A broker that confirms only when it is in the mood."""

import pytest

from tests.integration.publisher.moody import Moody
from tests.integration.toy.station import Station


@pytest.fixture
def moody(station: Station) -> Moody:
    return Moody(station.broker)
