"""Which resources parameters come from; what they do is tests/scenario/test_configuration.py's."""

from __future__ import annotations

import pytest

from tests.scenario.world import configuration, resources
from tortie.agent.configuring import configured, configures, is_datastore_ready
from tortie.agent.state import Agent
from tortie.model.read import Key


@pytest.mark.parametrize(
    ("key", "counts"),
    [
        (Key("FelixConfiguration", "", "default"), True),
        (Key("FelixConfiguration", "", "node.node-1"), True),
        (Key("FelixConfiguration", "", "node.node-2"), False),
        (Key("FelixConfiguration", "", "other"), False),
        (Key("ClusterInformation", "", "default"), True),
        (Key("Node", "", "node-1"), True),
        (Key("Node", "", "node-2"), False),
        (Key("IPPool", "", "default"), False),
    ],
)
def test_what_configures(key: Key, counts: bool) -> None:
    assert configures(key, "node-1") is counts


@pytest.mark.parametrize(("said", "ready"), [(None, True), ("true", True), ("false", False)])
def test_whether_the_datastore_is_ready(said: str | None, ready: bool) -> None:
    text = configuration(f"datastoreReady: {said}").replace("FelixConfiguration", "ClusterInformation")
    told = {} if said is None else {event.key: event.resource for event in resources(text)}
    assert is_datastore_ready(Agent("node-1", configuring=told)) is ready


def test_what_is_configured_already_is_not_told_again() -> None:
    state, commands = configured(Agent("node-1"))
    assert commands
    assert configured(state) == (state, [])
