"""What Prometheus is told to look at, and what the runbook tells people to look at, is there.

Text, not YAML: the project has no parser for that.
"""

import inspect
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.definitions import all_services
from messages.transport.daemon import housekeeping
from messages.transport.daemon.measuring import measures_of
from messages.transport.metrics import Metrics
from messages.transport.topology import topology_of
from tests.unit.headings import anchors_of

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = (DEPLOY / "alerts.yaml").read_text()
RUNBOOK = (DEPLOY / "runbook.md").read_text()
TESTS = Path(__file__).parent / "alerts.test.yaml"
EACH_RULE = RULES.split("- alert: ")[1:]
ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum"), "info": ("_info",)}
SERVED = {
    f"{each.name}{ending}"
    for service in all_services()
    for each in Metrics(measures_of(service)).registry.collect()
    for ending in ENDINGS[each.type]
}


@pytest.mark.parametrize("text", [RULES, RUNBOOK], ids=["alerts.yaml", "runbook.md"])
def test_every_metric_that_is_named_is_served(text):
    named = set(re.findall(r"\b(?:ordersaga|process)_\w+", text))
    assert named
    assert named <= SERVED


@pytest.mark.parametrize("rule", EACH_RULE, ids=lambda rule: rule.split()[0])
def test_every_rule_says_how_bad_it_is_and_leads_to_a_section_of_the_runbook(rule):
    assert re.search(r"^ +labels: \{severity: (critical|warning)\}$|critical\{\{ else \}\}warning", rule, re.MULTILINE)
    assert re.search(r'^ +summary: ".+"$', rule, re.MULTILINE)
    ((page, section),) = re.findall(r"^ +runbook: deploy/(runbook|README)\.md#(\S+)$", rule, re.MULTILINE)
    assert section in anchors_of(DEPLOY / f"{page}.md")


def test_each_rule_fires_when_it_should_and_not_before():
    if shutil.which("promtool") is None:
        pytest.skip("promtool, which comes with Prometheus, is not installed")
    tested = subprocess.run(["promtool", "test", "rules", TESTS], check=False, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stderr


def test_for_each_rule_there_is_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    names = {rule.split()[0] for rule in EACH_RULE}
    cases = TESTS.read_text()
    assert set(re.findall(r"- alertname: (\w+)\n +eval_time: \d+[mh]\n +exp_alerts:\n", cases)) == names
    assert set(re.findall(r"- \{alertname: (\w+), eval_time: \d+[mh]\}\n", cases)) == names


def test_alarms_and_reasons_that_are_looked_for_are_in_the_runbook():
    told = set(re.findall(r"`([a-z_]+)`", RUNBOOK))
    for matcher in set(re.findall(r'\b(?:alarm|reason)[=!]~"(.+?)"', RULES)):
        for pattern in matcher.split("|"):
            assert any(re.fullmatch(pattern, word) for word in told), pattern


def test_what_is_young_is_not_taken_for_young_again_after_a_missed_scrape():
    rules = "".join(EACH_RULE)
    others = re.sub(r"unless last_over_time\(\w+\[5m\] offset 10m\)", "", rules)
    assert others != rules
    assert " offset " not in others


def test_the_jobs_that_are_critical_exist():
    (critical,) = re.findall(r'match "\^\((.+?)\)\$" \$labels.exported_job', RULES)
    jobs = {job.name for service in all_services() for job in service.jobs}
    jobs |= set(re.findall(r'\bJob\(\s*"(\w+)"', inspect.getsource(housekeeping)))
    assert set(critical.split("|")) < jobs


def test_a_daemon_of_any_kind_is_missed_also_when_it_is_not_scraped_at_all():
    (rule,) = (rule for rule in EACH_RULE if rule.startswith("DaemonDown\n"))
    jobs = {service.name.replace("_", "-") for service in all_services()}
    (answering,) = re.findall(r'up\{job=~"(.+?)"\} == 0', rule)
    assert set(answering.split("|")) == jobs
    (starting,) = re.findall(r'process_start_time_seconds\{job=~"(.+?)"\}', RULES)
    assert set(starting.split("|")) == jobs
    assert set(re.findall(r'absent\(up\{job="(.+?)"\}\)', rule)) == jobs


def test_transactions_are_watched_in_the_databases_of_all_services():
    (names,) = re.findall(r'datname=~"(.+?)"', RULES)
    assert set(names.split("|")) == {service.name for service in all_services()}


def test_the_rules_about_queues_are_about_all_of_ours_and_about_no_client_s():
    ours = {queue.name for queue in topology_of(all_services()).queues}
    seen = {
        rule.split()[0]: {name for name in (*ours, "outcomes.example") if re.fullmatch(pattern, name)}
        for rule in EACH_RULE
        for pattern in re.findall(r'\bqueue=~"(.+?)"', rule)
    }
    dead = {name for name in ours if name.endswith(".dead")}
    assert seen == {"QueueGrows": ours, "QueueUnreported": ours, "NobodyConsumes": ours, "DeadLetters": dead}


def test_a_queue_that_is_missing_is_missed():
    (rule,) = (rule for rule in EACH_RULE if rule.startswith("QueueUnreported\n"))
    (number,) = re.findall(r"\) < (\d+)$", rule, re.MULTILINE)
    assert int(number) == len(topology_of(all_services()).queues)


def test_the_job_that_a_queue_is_given_is_that_of_the_daemon_that_should_consume_it():
    (rule,) = (rule for rule in EACH_RULE if rule.startswith("NobodyConsumes\n"))
    ((job, pattern),) = re.findall(r'"job", "(.+?)", "queue", "(.+?)"', rule)
    for service in all_services():
        for queue in topology_of([service]).queues:
            match = re.fullmatch(pattern, queue.name)
            assert match
            assert match.expand(job.replace("$", "\\")) == service.name.replace("_", "-")
