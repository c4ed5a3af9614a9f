"""Scenarios as JSON text, made to be read and shortened by hand; packets are hex with a description beside them."""

from __future__ import annotations

import json
from typing import Any

from tests.kernel.recipe import read_packet
from tests.kernel.scenario import Answer, ErrorAbout, Follow, Given, Interface, Recipe, Repeat, Scenario, Shot, Topology
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend

_KINDS: dict[str, type[Recipe]] = {
    "given": Given,
    "repeat": Repeat,
    "follow": Follow,
    "answer": Answer,
    "error": ErrorAbout,
}


def format_scenario(scenario: Scenario) -> str:
    """The scenario as JSON; `parse_scenario` gives it back."""
    value = {
        "name": scenario.name,
        "backend": scenario.backend.value,
        "interfaces": [
            {"name": one.name, "addresses": list(one.addresses), "mtu": one.mtu, "mac": one.mac}
            for one in scenario.topology.interfaces
        ],
        "commands": {str(family.value): list(lines) for family, lines in scenario.topology.commands.items()},
        "sysctls": [list(pair) for pair in scenario.sysctls],
        "ip_sets": scenario.ip_sets.splitlines(),
        "rules": {str(family.value): text.splitlines() for family, text in scenario.rules.items()},
        "shots": [_shot_value(shot) for shot in scenario.shots],
    }
    return json.dumps(value, indent=1) + "\n"


def parse_scenario(text: str) -> Scenario:
    """The scenario that `format_scenario` wrote."""
    value = json.loads(text)
    return Scenario(
        name=value["name"],
        backend=Backend(value["backend"]),
        topology=Topology(
            tuple(
                Interface(one["name"], tuple(one["addresses"]), one["mtu"], one.get("mac", ""))
                for one in value["interfaces"]
            ),
            {IPFamily(int(family)): tuple(lines) for family, lines in value["commands"].items()},
        ),
        rules={IPFamily(int(family)): _text(lines) for family, lines in value["rules"].items()},
        shots=tuple(_shot(one) for one in value["shots"]),
        ip_sets=_text(value["ip_sets"]),
        sysctls=tuple((name, setting) for name, setting in value["sysctls"]),
    )


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _shot_value(shot: Shot) -> dict[str, Any]:
    recipe = shot.recipe
    kind = next(name for name, cls in _KINDS.items() if isinstance(recipe, cls))
    value: dict[str, Any] = {"key": shot.key, "kind": kind}
    for name in recipe.__dataclass_fields__:
        content = getattr(recipe, name)
        value[name] = content.hex() if isinstance(content, bytes) else content
    if isinstance(recipe, Given):
        value["described"] = str(read_packet(recipe.data))
    return value


def _shot(value: dict[str, Any]) -> Shot:
    cls = _KINDS[value["kind"]]
    fields: dict[str, Any] = {
        name: bytes.fromhex(value[name]) if name in ("data", "payload") else value[name]
        for name in cls.__dataclass_fields__
        if name in value
    }
    return Shot(value["key"], cls(**fields))
