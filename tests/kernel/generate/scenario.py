"""A whole scenario from one number."""

from __future__ import annotations

from tests.kernel.generate.draw import Draw
from tests.kernel.generate.free_rules import draw_free_rules
from tests.kernel.generate.ip_set import draw_ip_sets
from tests.kernel.generate.packet import draw_frames, draw_shots
from tests.kernel.generate.topology import draw_sysctls, draw_world
from tests.kernel.scenario import Scenario
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend

SCENARIOS_PER_TOPOLOGY = 10
PACKETS = 24


def draw_scenario(seed: int, *, packets: int = PACKETS) -> Scenario:
    """Scenario number `seed`. Neighbouring numbers share topology and back-end, so that a node can be used again."""
    block = seed // SCENARIOS_PER_TOPOLOGY
    world = draw_world(str(block))
    backend = Backend.LEGACY if block % 2 == 0 else Backend.NFT
    draw = Draw(f"scenario {seed}")
    ip_sets, named = draw_ip_sets(draw, world)
    families = draw.weighted([([IPFamily.V4], 5), ([IPFamily.V6], 3), (list(IPFamily), 2)])
    rules = {family: draw_free_rules(draw, world, family, backend, named) for family in families}
    return Scenario(
        name=f"free {seed}",
        backend=backend,
        topology=world.topology,
        rules=rules,
        shots=draw_frames(Draw(f"frames {seed}"), world, draw_shots(draw, world, families, packets)),
        ip_sets=ip_sets,
        sysctls=draw_sysctls(draw, world),
    )
