"""What a TCP segment does to its connection: state, window, resets, and segments that are let by without being believed.

`track_segment` follows nf_conntrack_tcp_packet and tcp_in_window in nf_conntrack_proto_tcp.c step by step; the moves are
`tracking_table.TCP_MOVES`. Three answers besides a new state: INVALID (the packet belongs to no connection), IGNORED (it
belongs to one, which stays as it is) and REOPENED (the old connection is gone, this segment starts another).

What the kernel keeps of sequence numbers is no part of a connection that was read from a node. Of such a connection
nothing is known (`TcpHistory` is None): every segment counts as in its window, and a SYN reopens what is closed.
"""

from __future__ import annotations

from enum import Enum

from tortie.net.packet import Packet
from tortie.netfilter.conntrack import TcpState
from tortie.netfilter.match import Direction
from tortie.simulator.connection import Connection
from tortie.simulator.tcp_history import TcpHistory, TcpSide, after, before, segment_end
from tortie.simulator.tracking_table import TCP_MOVES, TcpKind, TcpMove

_LEAST_ACK_WINDOW = 66000
"""MAXACKWINCONST: how far behind an acknowledgement may be."""
_SYN, _RST, _ACK = 2, 4, 16
_CLOSING = frozenset({TcpState.FIN_WAIT, TcpState.CLOSE_WAIT, TcpState.LAST_ACK, TcpState.TIME_WAIT, TcpState.CLOSE})
"""States whose sequence numbers are not believed any more (tcp_can_early_drop)."""


class Tracked(Enum):
    """What became of a segment."""

    TAKEN = "taken"
    IGNORED = "ignored"
    INVALID = "invalid"
    REOPENED = "reopened"
    ENDED = "ended"
    """A RST before any answer: the connection is gone, the segment still belongs to it."""


class _Window(Enum):
    INSIDE = "inside"
    IGNORED = "ignored"
    INVALID = "invalid"


def start_history(packet: Packet, kind: TcpKind) -> TcpHistory:
    """What is known after a connection's first segment (tcp_new)."""
    history = TcpHistory()
    first = history.sides[0]
    first.end = segment_end(packet)
    first.max_window = packet.tcp_window or 1
    if kind is TcpKind.SYN:
        first.max_end = first.end
        first.read_options(packet.tcp_options)
    else:
        first.max_end = first.end + first.max_window & 0xFFFFFFFF
        for side in history.sides:
            side.sack_permitted = side.liberal = True
    _check_window(history, Direction.ORIGINAL, packet, kind, TcpState.NONE, liberal=False)
    history.last_kind, history.last_direction = kind, Direction.ORIGINAL
    return history


def track_segment(
    connection: Connection, direction: Direction, packet: Packet, kind: TcpKind, *, liberal: bool
) -> tuple[Tracked, str]:
    """Carries one segment of a known connection into it; the words say what happened to its state."""
    history, old = connection.tcp, connection.tcp_state
    move = TCP_MOVES.get((direction, kind, old), TcpMove.SAME)
    if move is TcpMove.INVALID:
        return _invalid_move(history, direction, packet, kind, old)
    if move is TcpMove.NEW_CONNECTION:
        if history is None or history.may_reopen(direction):
            return Tracked.REOPENED, ""
        move = TcpMove.SAME
    if move is TcpMove.SAME:
        if history is None or not history.resynchronises(direction, packet, kind):
            if history is not None:
                history.note_ignored(direction, packet, kind, old)
            return Tracked.IGNORED, f", TCP {old.value}"
        history.resynchronise(direction)
        old, move = TcpState.SYN_SENT, TcpState.SYN_RECV
    assert isinstance(move, TcpState)
    if history is not None:
        doubted = _special_case(connection, history, direction, packet, kind, move)
        if isinstance(doubted, Tracked):
            return (
                doubted,
                f", TCP {old.value}" if doubted is Tracked.IGNORED else "the RST is older than what is acknowledged",
            )
        move, trusted = doubted
        if not trusted:
            window = _check_window(history, direction, packet, kind, connection.tcp_state, liberal=liberal)
            if window is _Window.INVALID:
                return Tracked.INVALID, "the sequence or acknowledgement number is outside the window"
            if window is _Window.IGNORED:
                return Tracked.IGNORED, f", TCP {old.value}, outside the window"
        history.last_kind, history.last_direction = kind, direction
        history.closing = history.closing or (old is not move and move is TcpState.FIN_WAIT)
    return _enter_state(connection, kind, old, move)


def _enter_state(connection: Connection, kind: TcpKind, old: TcpState, new: TcpState) -> tuple[Tracked, str]:
    connection.tcp_state = new
    if not connection.seen_reply:
        if kind is TcpKind.RST:
            return Tracked.ENDED, ", which ends the connection"
        if kind is TcpKind.SYN and old is TcpState.SYN_SENT:
            return Tracked.IGNORED, f", TCP {old.value}, the SYN once more"
    elif old in (TcpState.SYN_RECV, TcpState.ESTABLISHED) and new is TcpState.ESTABLISHED:
        connection.assured = True
    return Tracked.TAKEN, f", TCP {old.value} to {new.value}" if new is not old else f", TCP {old.value}"


def _invalid_move(
    history: TcpHistory | None, direction: Direction, packet: Packet, kind: TcpKind, old: TcpState
) -> tuple[Tracked, str]:
    keepalive = (
        history is not None
        and kind is TcpKind.ACK
        and direction is Direction.ORIGINAL
        and history.last_direction is Direction.ORIGINAL
        and (history.sides[0].end - 1) & 0xFFFFFFFF == packet.tcp_seq
    )
    if keepalive:
        return Tracked.IGNORED, f", TCP {old.value}, a keep-alive before the answer"
    return Tracked.INVALID, f"{kind.value} in the {direction.value.lower()} direction does not fit TCP state {old.value}"


def _special_case(
    connection: Connection, history: TcpHistory, direction: Direction, packet: Packet, kind: TcpKind, move: TcpState
) -> Tracked | tuple[TcpState, bool]:
    """The cases between table and window check: an end, or the new state and whether the window need not be looked at."""
    old = connection.tcp_state
    match move:
        case TcpState.TIME_WAIT:
            if old is TcpState.LAST_ACK and kind is TcpKind.ACK and history.takes_challenge(direction):
                return Tracked.IGNORED
        case TcpState.SYN_SENT2:
            history.simultaneous = True
        case TcpState.SYN_RECV:
            if direction is Direction.REPLY and kind is TcpKind.ACK and history.simultaneous:
                return TcpState.ESTABLISHED, False
        case TcpState.CLOSE if kind is TcpKind.RST:
            return _reset(connection, history, direction, packet)
        case _:
            pass
    return move, False


def _reset(
    connection: Connection, history: TcpHistory, direction: Direction, packet: Packet
) -> Tracked | tuple[TcpState, bool]:
    old = connection.tcp_state
    if old in _CLOSING:
        return TcpState.CLOSE, True
    move = TcpState.CLOSE
    acknowledged = history.side(direction, other=True).max_ack
    if acknowledged is not None and history.last_kind is not TcpKind.SYN:
        sequence = packet.tcp_seq
        established = old is TcpState.ESTABLISHED and connection.assured
        if sequence == 0 and not established:
            return move, False
        if before(sequence, acknowledged):
            return Tracked.INVALID
        if not established or sequence == acknowledged:
            return move, False
        if history.last_kind is TcpKind.ACK and history.last_direction is direction and sequence == history.last_end:
            return move, False
        # Not exactly in sequence: the receiver may still challenge it (RFC 5961).
        move = old
    answers_ignored = (connection.seen_reply and history.last_kind is TcpKind.SYN) or (
        not connection.assured and history.last_kind is TcpKind.ACK
    )
    return move, answers_ignored and packet.tcp_ack == history.last_end


def _check_window(
    history: TcpHistory, direction: Direction, packet: Packet, kind: TcpKind, state: TcpState, *, liberal: bool
) -> _Window:
    """tcp_in_window: says where the segment lies, and moves the windows on when it lies inside."""
    sender, receiver = history.side(direction), history.side(direction, other=True)
    flags, sequence, window = packet.tcp_flags, packet.tcp_seq, packet.tcp_window
    ack = packet.tcp_ack
    end = segment_end(packet)
    selective = receiver.last_selective_ack(packet, ack)
    if sender.max_window == 0:
        if flags & _SYN:
            sender.start(packet, end, receiver, reply=direction is Direction.REPLY)
            if not flags & _ACK:
                return _Window.INSIDE
        else:
            sender.pick_up(end, window)
            if receiver.max_window == 0:
                receiver.end = receiver.max_end = selective
            elif selective == (receiver.end + 1) & 0xFFFFFFFF:
                receiver.end = selective
    elif flags & _SYN and after(end, sender.end) and state in (TcpState.SYN_SENT, TcpState.SYN_RECV):
        sender.start(packet, end, receiver, reply=direction is Direction.REPLY)
        if direction is Direction.REPLY and not flags & _ACK:
            return _Window.INSIDE
    if not flags & _ACK or (flags & _RST and ack == 0):
        ack = selective = receiver.end
    if flags & _RST and sequence == 0 and state is TcpState.SYN_SENT:
        sequence = end = sender.end
    where = _place(sender, receiver, sequence, end, selective)
    if where is not _Window.INSIDE:
        if not (liberal or sender.liberal):
            return where
        # The kernel skips the update below as well.
        return _Window.INSIDE
    _move_windows(sender, receiver, packet, end, ack, selective)
    if kind is TcpKind.ACK:
        history.last_direction, history.last_end = direction, end
    return _Window.INSIDE


def _place(sender: TcpSide, receiver: TcpSide, sequence: int, end: int, selective: int) -> _Window:
    oldest_ack = receiver.end - max(sender.max_window, _LEAST_ACK_WINDOW) - 1
    if not before(sequence, sender.max_end + 1):
        overshot = (end - sender.max_end + 1) & 0xFFFFFFFF
        inside = receiver.max_window and after(end, sender.end - receiver.max_window - 1)
        if (
            inside
            and after(selective, oldest_ack)
            and overshot <= receiver.max_window
            and before(selective, receiver.end + 1)
        ):
            sender.end = end
            return _Window.IGNORED
        return _Window.INVALID
    if not before(selective, receiver.end + 1):
        return _Window.INVALID
    if receiver.max_window and not after(end, sender.end - receiver.max_window - 1):
        return _Window.IGNORED
    return _Window.INSIDE if after(selective, oldest_ack) else _Window.IGNORED


def _move_windows(sender: TcpSide, receiver: TcpSide, packet: Packet, end: int, ack: int, selective: int) -> None:
    window = packet.tcp_window if packet.tcp_flags & _SYN else packet.tcp_window << sender.scale
    sender.max_window = max(sender.max_window, window + ((selective - ack) & 0xFFFFFFFF))
    if after(end, sender.end):
        sender.end = end
    if packet.tcp_flags & _ACK and (sender.max_ack is None or after(ack, sender.max_ack)):
        sender.max_ack = ack
    if receiver.max_window and after(end, sender.max_end):
        receiver.max_window += (end - sender.max_end) & 0xFFFFFFFF
    if after(selective + window, receiver.max_end - 1):
        receiver.max_end = (selective + window + (window == 0)) & 0xFFFFFFFF
