"""What Alertmanager mutes are alerts that there are, and it takes the file.

Text, not YAML: the project has no parser for that.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIG = DEPLOY / "alertmanager.yaml"
LINES = [line for line in CONFIG.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
KEYS = {
    "": {"route", "receivers", "inhibit_rules"},
    "route": {
        *("receiver", "group_by", "group_wait", "group_interval", "repeat_interval"),
        *("routes", "matchers"),
    },
    "receivers": {"name", "webhook_configs", "url"},
    "inhibit_rules": {"source_matchers", "target_matchers", "equal"},
}


def test_every_alert_that_is_named_exists():
    rules = set(re.findall(r"- alert: (\w+)$", (DEPLOY / "alerts.yaml").read_text(), re.MULTILINE))
    named = re.findall(r"alertname =~? \"([A-Za-z|]+)\"", CONFIG.read_text())
    assert len(named) == CONFIG.read_text().count("alertname ")
    assert {name for each in named for name in each.split("|")} <= rules


def test_what_names_no_instance_is_not_compared_by_it():
    alerts = dict(re.findall(r"- alert: (\w+)\n(.+?)\n +labels:", (DEPLOY / "alerts.yaml").read_text(), re.DOTALL))
    (rules,) = re.findall(r"^inhibit_rules:\n(.+)", CONFIG.read_text(), re.MULTILINE | re.DOTALL)
    for _, targets, equal in re.findall(r'source_matchers: (.+)\n +target_.+"(.+)".+\n +equal: \[(.+)\]', rules):
        aggregated = [name for name in targets.split("|") if re.search(r"\bby \(", alerts[name])]
        assert not (aggregated and "instance" in equal), aggregated


def test_every_key_is_one_that_alertmanager_knows():
    section = ""
    for line in LINES:
        (indentation, key) = re.findall(r"^( *)(?:- )?(\w+):", line)[0]
        if not indentation:
            assert key in KEYS[""], line
            section = key
        else:
            assert key in KEYS[section], line


def test_alertmanager_takes_it():
    if shutil.which("amtool") is None:
        pytest.skip("amtool, which comes with Alertmanager, is not installed")
    checked = subprocess.run(["amtool", "check-config", CONFIG], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
