"""The dashboard asks for what is served, of the data source that is chosen."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from deploy.definitions import all_services
from messages.transport.topology import topology_of
from tests.unit.test_alerts import SERVED

DASHBOARD = json.loads((Path(__file__).parents[2] / "deploy" / "grafana.json").read_text())
PANELS = [pytest.param(panel, id=panel["title"]) for panel in DASHBOARD["panels"]]
NOT_METRICS = re.compile(r"\{.*?\}|\[.*?\]|by \(.*?\)|histogram_quantile")


@pytest.mark.parametrize("panel", PANELS)
def test_every_metric_of_a_panel_is_served_by_the_daemons_or_is_rabbitmq_s(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        named = set(re.findall(r"[a-z]+_\w+", NOT_METRICS.sub(" ", target["expr"])))
        assert named, target
        assert {name for name in named if not name.startswith("rabbitmq_")} <= SERVED


@pytest.mark.parametrize("panel", PANELS)
def test_the_labels_of_a_series_are_among_those_that_it_is_summed_by(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        kept = re.findall(r"by \((.+?)\)", target["expr"])
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert not kept or shown <= set(kept[0].split(", "))


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_asks_the_data_source_that_is_chosen(panel: dict[str, Any]) -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    assert panel["datasource"] == {"type": "prometheus", "uid": f"${{{variable['name']}}}"}


def test_all_services_and_all_of_their_queues_are_on_it() -> None:
    text = "".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    jobs, queues = ({*re.findall(rf'\b{label}=~"(.+?)"', text)} for label in ("job", "queue"))
    for service in all_services():
        assert all(re.fullmatch(pattern, service.name.replace("_", "-")) for pattern in jobs)
        names = [queue.name for queue in topology_of([service]).queues]
        assert all(re.fullmatch(pattern, name) for pattern in queues for name in names)
    assert jobs
    assert queues


def test_no_two_panels_are_in_each_other_s_way() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for one, other in combinations((panel["gridPos"] for panel in DASHBOARD["panels"]), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
