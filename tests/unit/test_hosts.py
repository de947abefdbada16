"""What is written for systemd and for Kubernetes fits the settings, the image, and the rules of the alerts.

Text, not YAML: the project has no parser for that.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import order_saga.settings
from deploy.definitions import all_services
from deploy.services import SERVICES
from messages.transport.command_line.failures import WrongUsage
from messages.transport.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "systemd" / "order-saga@.service"
TOLD = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))
MANIFESTS = (DEPLOY / "kubernetes.yaml").read_text()
SETTINGS: list[type[Settings]] = [settings for settings, _ in SERVICES.values()]
TO_CLOSE_SECONDS = 10
LEAST_SECONDS = order_saga.settings.Settings.model_fields["drain_seconds"].default + TO_CLOSE_SECONDS


def test_systemd_understands_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    unit = tmp_path / "order-saga@store-worker.service"
    unit.write_text(UNIT.read_text().replace("/opt/order-saga/.venv/bin/%i", sys.executable))
    command = ["systemd-analyze", "verify", str(unit)]
    verified = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_systemd_starts_again_whatever_ended_save_for_a_wrong_setting():
    assert TOLD["Restart"] == "always"
    assert TOLD["RestartPreventExitStatus"] == str(WrongUsage.exit_code)
    assert TOLD["StartLimitIntervalSec"] == "0"


def test_every_daemon_has_a_user_of_its_own_and_cannot_read_the_settings_of_another():
    assert (TOLD["DynamicUser"], TOLD["User"]) == ("yes", "%i")


def test_whoever_stops_a_daemon_waits_until_it_has_drained():
    assert float(TOLD["TimeoutStopSec"]) >= LEAST_SECONDS
    (seconds,) = re.findall(r"terminationGracePeriodSeconds: (\d+)", MANIFESTS)
    assert float(seconds) >= LEAST_SECONDS


def test_every_host_gives_a_daemon_as_much_memory():
    (limit,) = re.findall(r"mem_limit: (\d+)m", (DEPLOY / "compose.yaml").read_text())
    assert TOLD["MemoryMax"] == f"{limit}M"
    assert f"limits: {{memory: {limit}Mi}}" in MANIFESTS


def test_kubernetes_sets_only_what_there_is_to_set():
    known = {f"{each.prefix()}{name.upper()}" for each in SETTINGS for name in each.model_fields}
    known |= {name.upper() for name in SETTINGS[0].SHARED}
    named = set(re.findall(r"name: ([A-Z_]+),|--from-literal=([A-Z_]+)=", MANIFESTS))
    assert len(named) > 5
    assert {first or second for first, second in named} <= known


def test_every_pod_is_confined_and_asks_nothing_of_kubernetes():
    (user,) = re.findall(r"^USER (\d+):", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    pods = MANIFESTS.count(" containers:")
    confined = f"securityContext: {{runAsNonRoot: true, runAsUser: {user}, seccompProfile: {{type: RuntimeDefault}}}}"
    dropped = "{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}"
    for wanted in (confined, dropped, "automountServiceAccountToken: false", "enableServiceLinks: false"):
        assert MANIFESTS.count(wanted) == pods, wanted


def test_the_manifests_of_a_worker_are_made_by_the_command_that_they_name():
    (script,) = re.findall(r"^#   sed '(.+)' deploy/kubernetes\.yaml$", MANIFESTS, re.MULTILINE)
    worker = subprocess.run(["sed", script], input=MANIFESTS, capture_output=True, text=True, check=True).stdout
    assert "order-saga" not in worker
    assert "ORDER_SAGA" not in worker
    assert "audit" not in worker
    assert "args: [store-worker, run]" in worker


def test_jobs_are_called_as_the_alerts_expect_them():
    (job,) = re.findall(r"targetLabel: job, replacement: ([a-z-]+)", MANIFESTS)
    assert job in {service.name.replace("_", "-") for service in all_services()}
    assert f'absent(up{{job="{job}"}})' in (DEPLOY / "alerts.yaml").read_text()
