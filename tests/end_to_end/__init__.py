"""The whole system: three daemons as processes of their own, on real servers, and a customer in plain AMQP."""

import pytest

# A failed assertion in these tells what it saw, too.
pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in ("cell", "daemons", "load", "verdict")))
