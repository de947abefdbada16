"""What Prometheus is told to look at, and what the runbook tells people to look at, is there.

Text, not YAML: the project has no parser for that.
"""

import re
from pathlib import Path

import pytest

from messages.transport.daemon.metrics import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = (DEPLOY / "alerts.yaml").read_text()
RUNBOOK = (DEPLOY / "README.md").read_text()
EACH_RULE = RULES.split("- alert: ")[1:]
ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


@pytest.mark.parametrize("text", [RULES, RUNBOOK], ids=["alerts.yaml", "README.md"])
def test_every_metric_that_is_named_is_served(text):
    served = {f"{each.name}{ending}" for each in Metrics().registry.collect() for ending in ENDINGS[each.type]}
    named = set(re.findall(r"\bordersaga_\w+", text))
    assert named
    assert named <= served


@pytest.mark.parametrize("rule", EACH_RULE, ids=lambda rule: rule.split()[0])
def test_every_rule_says_how_bad_it_is_and_leads_to_a_section_of_the_runbook(rule):
    assert re.search(r"^ +labels: \{severity: (critical|warning)\}$", rule, re.MULTILINE)
    assert re.search(r'^ +summary: ".+"$', rule, re.MULTILINE)
    (section,) = re.findall(r"^ +runbook: deploy/README\.md#(\S+)$", rule, re.MULTILINE)
    assert section in {_anchor(heading) for heading in re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)}


def test_alarms_and_reasons_that_are_looked_for_are_in_the_runbook():
    told = set(re.findall(r"`([a-z_]+)`", RUNBOOK))
    for matcher in set(re.findall(r'\b(?:alarm|reason)[=!]~"(.+?)"', RULES)):
        for pattern in matcher.split("|"):
            assert any(re.fullmatch(pattern, word) for word in told), pattern


def _anchor(heading):
    """As GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
