"""What segments do to a TCP connection: states, windows, resets (spec: netfilter 4.4; nf_conntrack_proto_tcp.c)."""

from __future__ import annotations

import pytest

from tests.node_builder import node, packet
from tortie.netfilter.conntrack import ConnEntry, ConnTuple
from tortie.netfilter.match import CtState
from tortie.simulator.session import Session
from tortie.simulator.trace import ConntrackStep
from tortie.simulator.walk import Arrival, Node, walk

CLIENT, SERVER = "10.0.0.5:1000", "10.1.0.9:80"
TRACKED = "*filter\n:FORWARD ACCEPT\n-A FORWARD -m conntrack --ctstate NEW"


def send(made: Node, session: Session, words: str) -> str:
    """Sends `> FLAGS SEQUENCE ACKNOWLEDGED [LENGTH [WINDOW]]` (`<` from the server).

    Tells what tracking made of it: `INVALID`, or the connection's state afterwards, or `none` when it is gone.
    """
    way, flags, *numbers = words.split()
    sequence, acknowledged, length, window = (*map(int, numbers), *(0, 0, 0, 1000)[len(numbers) :])
    ends = (CLIENT, SERVER) if way == ">" else (SERVER, CLIENT)
    segment = packet("tcp", *ends, flags, tcp_seq=sequence, tcp_ack=acknowledged, payload=bytes(length), tcp_window=window)
    trace = walk(made, Arrival(segment, "e0" if way == ">" else "e1"), session).trace
    (step,) = [step for step in trace.steps if isinstance(step, ConntrackStep)]
    if step.state is CtState.INVALID:
        return "INVALID"
    found = session.connections
    return found[0].tcp_state.value if found else "none"


OPEN = ["> S 100 0: SYN_SENT", "< SA 500 101: SYN_RECV", "> A 101 501: ESTABLISHED"]
CONVERSATIONS = {
    "opened, closed by the client and by the server": [
        *OPEN, "> FA 101 501: FIN_WAIT", "< A 501 102: CLOSE_WAIT", "< FA 501 102: LAST_ACK", "> A 102 502: TIME_WAIT",
    ],
    "both sides begin": [
        "> S 100 0: SYN_SENT", "< S 500 0: SYN_SENT2", "> SA 100 501: SYN_RECV", "< A 501 101: ESTABLISHED",
    ],
    "an answer to nothing": ["< SA 500 101: INVALID"],
    "picked up in the middle": ["> A 100 500: ESTABLISHED", "< A 500 100: ESTABLISHED"],
    "a reset before any answer takes the connection away": ["> S 100 0: SYN_SENT", "> R 101 0: none"],
    "a refused connection is gone at once": ["> S 100 0: SYN_SENT", "< RA 0 101: none"],
    "a reset in sequence": [*OPEN, "> A 101 501 10: ESTABLISHED", "< R 501 0: CLOSE"],
    "a reset older than what was acknowledged": [*OPEN, "< R 499 0: INVALID"],
    "a reset that may be challenged (RFC 5961)": [*OPEN, "> A 101 501: ESTABLISHED", "< R 700 0: ESTABLISHED"],
    "data beyond the window": [*OPEN, "> A 5000 501 10: INVALID"],
    "an acknowledgement of what was never sent": [*OPEN, "> A 101 9000: INVALID"],
    "data once more": [*OPEN, "> A 101 501 10: ESTABLISHED", "> A 101 501 10: ESTABLISHED"],
    "a SYN in an open connection is let by, and believed when it is answered": [
        *OPEN, "> S 7000 0: ESTABLISHED", "< SA 9000 7001: SYN_RECV", "> A 7001 9001: ESTABLISHED",
    ],
    "the SYN once more": ["> S 100 0: SYN_SENT", "> S 100 0: SYN_SENT"],
    "a SYN with a later number before any answer begins anew": [
        "> S 100 0: SYN_SENT", "> S 5000 0: SYN_SENT", "< SA 500 5001: SYN_RECV", "> A 5001 501: ESTABLISHED",
    ],
    "a SYN after the end opens another connection": [
        *OPEN, "> FA 101 501: FIN_WAIT", "< FA 501 102: LAST_ACK", "> A 102 502: TIME_WAIT", "> S 9000 0: SYN_SENT",
    ],
    "a SYN after the peer's reset does not": [*OPEN, "< R 501 0: CLOSE", "> S 9000 0: CLOSE"],
    "one after the sender's own does": [*OPEN, "> R 101 0: CLOSE", "> S 9000 0: SYN_SENT"],
    "flags that no segment has": [*OPEN, "> SF 101 501: INVALID"],
}  # fmt: skip


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversations(name: str) -> None:
    made = node(TRACKED)
    session = made.session()
    said = [line.split(": ") for line in CONVERSATIONS[name]]
    assert [send(made, session, words) for words, _ in said] == [expected for _, expected in said]


def test_liberal_tracking_believes_any_sequence_number() -> None:
    made = node(TRACKED, sysctls={"net.netfilter.nf_conntrack_tcp_be_liberal": "1"})
    session = made.session()
    assert [send(made, session, line.split(":")[0]) for line in (*OPEN, "> A 500000 501 10:")][-1] == "ESTABLISHED"


def test_of_a_connection_that_was_read_from_a_node_no_window_is_known() -> None:
    client, server = (packet("tcp", CLIENT, SERVER, "A"), packet("tcp", SERVER, CLIENT, "A"))
    sides = [ConnTuple(one.family, 6, one.src, one.dst, one.sport, one.dport) for one in (client, server)]
    made = node(TRACKED, connections=(ConnEntry(sides[0], sides[1], state="ESTABLISHED", seen_reply=True, assured=True),))
    assert send(made, made.session(), "> A 123456 98765 10") == "ESTABLISHED"
