"""Draws what a rule tests, as text that iptables reads: the header and every extension this kernel and Tortie know.

Protocol-bound matches come with the `-p` they need. Where a match may not stand, it is not offered (`Place`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.kernel.generate.draw import Draw
from tests.kernel.generate.place import Place
from tests.kernel.generate.world import World
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, Hook, TableName

Words = str
ALL_PORTS = "0:65535"


@dataclass(frozen=True, slots=True)
class NamedSet:
    """An ip set that rules may name: the flags it wants and its family (None fits both)."""

    name: str
    dimensions: int
    family: IPFamily | None
    holds_set: bool = False


@dataclass(frozen=True, slots=True)
class MatchDraw:
    """Everything that drawing matches needs."""

    draw: Draw
    world: World
    place: Place
    sets: Sequence[NamedSet] = ()

    @property
    def v4(self) -> bool:
        """True in IPv4 tables."""
        return self.place.family is IPFamily.V4

    def bang(self, probability: float = 0.2) -> str:
        """A negation, sometimes."""
        return "! " if self.draw.chance(probability) else ""

    def address(self) -> str:
        """An address or prefix that rules would name."""
        addresses = self.world.addresses[self.place.family]
        if self.draw.chance(0.4):
            return self.draw.one(addresses.nets)
        return self.draw.one(addresses.odd if self.draw.chance(0.06) else addresses.ordinary)

    def side(self, option: str) -> str:
        """`-s` or `-d` with an address; nft refuses to invert /0 (Invalid argument)."""
        address = self.address()
        refused = self.place.backend is Backend.NFT and address.endswith("/0")
        return f"{'' if refused else self.bang()}{option} {address}"

    def port(self) -> int:
        """A server's port."""
        return self.draw.one(self.world.ports)

    def ports(self, option: str) -> str:
        """A port option. iptables-save prints nothing for all ports, inverted or not, so that is never inverted."""
        chosen = self.port_range()
        return f"{'' if chosen == ALL_PORTS else self.bang()}{option} {chosen}"

    def port_range(self) -> str:
        """A port or a range of ports."""
        form = self.draw.number(0, 5)
        low = self.draw.one((*self.world.ports, *self.world.client_ports))
        return [f"{low}", f"{low}", f"{low}:{low + 100}", f":{low}", f"{low}:", ALL_PORTS][form]

    def device(self, option: str) -> str:
        """A device option. iptables-save prints nothing for `+`, inverted or not (spec: netfilter 7.1)."""
        chosen = self.interface()
        return f"{'' if chosen == '+' else self.bang()}{option} {chosen}"

    def mark(self) -> int:
        """A mark."""
        return self.draw.one(self.world.marks)

    def interface(self) -> str:
        """A device or a prefix of one."""
        names = (*self.world.interfaces, *self.world.interfaces, "lo")
        name = self.draw.one(names)
        return self.draw.weighted([(name, 8), (name[:2] + "+", 1), ("+", 0.3), ("nodev", 0.3)])


def draw_matches(of: MatchDraw, *, protocol: int | None = None) -> str:
    """The tests of one rule: header first, then up to three extensions. `protocol` fixes `-p` (6 for tcp-reset)."""
    draw = of.draw
    words: list[Words] = []
    if draw.chance(0.25):
        words.append(of.side("-s"))
    if draw.chance(0.25):
        words.append(of.side("-d"))
    if draw.chance(0.15) and (of.place.has_input or not of.place.builtin):
        words.append(of.device("-i"))
    if draw.chance(0.15) and (of.place.has_output or not of.place.builtin):
        words.append(of.device("-o"))
    if of.v4 and draw.chance(0.04):
        words.append(f"{of.bang(0.3)}-f")
    words += [_layer_four(of, protocol)]
    count = draw.weighted([(0, 5), (1, 5), (2, 2), (3, 1)])
    offers = _OFFERS if of.v4 else _OFFERS + _OFFERS_V6
    makers = {draw.weighted(offers): None for _ in range(count)}
    words += [make(of) for make in _tellable(list(makers))]
    return " ".join(word for word in words if word)


def _tellable(makers: list[Maker]) -> list[Maker]:
    """At most one test that remembers: which of two made a rule miss, and so what the other remembers, nobody can see."""
    remembering = [
        make for make in makers if make in (_limit, _hashlimit, _statistic, _quota, _recent, _connlimit, _connlabel)
    ]
    return [make for make in makers if make not in remembering[1:]]


# --- layer 4 -----------------------------------------------------------------------------------------------------


def _layer_four(of: MatchDraw, protocol: int | None) -> Words:
    draw = of.draw
    if protocol == 6:
        return _tcp(of)
    kind = draw.weighted(
        [("", 9), ("tcp", 6), ("udp", 6), ("icmp", 3), ("proto", 1.5), ("not", 1), ("multiport", 2), ("sctp", 0.7),
         ("udplite", 0.4), ("dccp", 0.4), ("esp", 0.3), ("ah", 0.3), ("ipcomp", 0.1)]
    )  # fmt: skip
    match kind:
        case "tcp":
            return _tcp(of)
        case "udp" | "udplite":
            words = [f"-p {kind}"]
            if draw.chance(0.3):
                words.append(of.ports("--sport"))
            if draw.chance(0.7):
                words.append(of.ports("--dport"))
            if kind == "udplite" and len(words) > 1:
                return f"-p udplite -m multiport --{draw.one(['dports', 'sports', 'ports'])} {of.port()}"
            return " ".join(words)
        case "icmp":
            return _icmp(of)
        case "proto":
            other = draw.one(
                [1, 2, 6, 17, 47, 50, 51, 58, 89, 132, 136, 253] if of.v4 else [6, 17, 47, 50, 58, 59, 89, 132, 44, 60]
            )
            return f"-p {other}"
        case "not":
            return f"! -p {draw.one(['tcp', 'udp', 'icmp' if of.v4 else 'ipv6-icmp', '89'])}"
        case "multiport":
            ports = ",".join(_port_list(of))
            side = draw.one(["dports", "dports", "sports", "ports"])
            return f"-p {draw.one(['tcp', 'udp', 'sctp'])} -m multiport {of.bang()}--{side} {ports}"
        case "sctp":
            chunk = draw.one(["", "--chunk-types any INIT,DATA", "--chunk-types all INIT", "--chunk-types only INIT"])
            return f"-p sctp -m sctp {of.ports('--dport')} {chunk}".rstrip()
        case "dccp":
            return f"-p dccp -m dccp --dport {of.port_range()}"
        case "esp":
            return f"-p esp -m esp {of.bang()}--espspi {draw.one(['256', '1:300', '7'])}"
        case "ah":
            return f"{'-p ah ' if of.v4 else ''}-m ah {of.bang()}--ahspi {draw.one(['256', '1:300', '7'])}"
        case "ipcomp":
            return "-p 108 -m ipcomp --ipcompspi 1:300" if of.v4 else "-p mh -m mh --mh-type 1:3"
        case _:
            return ""


def _port_list(of: MatchDraw) -> list[str]:
    found = []
    for _ in range(of.draw.number(1, 4)):
        port = of.port()
        found.append(f"{port}:{port + 50}" if of.draw.chance(0.3) else f"{port}")
    return found


_FLAG_TESTS = (
    "SYN,ACK SYN", "ALL NONE", "ALL ALL", "FIN,SYN,RST,ACK SYN", "ACK ACK", "RST RST", "FIN FIN", "SYN,RST SYN,RST",
    "PSH PSH", "NONE NONE", "SYN NONE", "URG URG",
)  # fmt: skip


def _tcp(of: MatchDraw) -> Words:
    draw = of.draw
    words = ["-p tcp"]
    if draw.chance(0.25):
        words.append(of.ports("--sport"))
    if draw.chance(0.6):
        words.append(of.ports("--dport"))
    if draw.chance(0.2):
        words.append(f"{of.bang()}--tcp-flags {draw.one(_FLAG_TESTS)}")
    elif draw.chance(0.1):
        words.append(f"{of.bang()}--syn")
    if draw.chance(0.05):
        words.append(f"{of.bang()}--tcp-option {draw.one([2, 3, 8])}")
    if draw.chance(0.05):
        words.append(f"-m tcpmss {of.bang()}--mss {draw.one(['1460', '500:1400', '0:65535'])}")
    if draw.chance(0.04) and of.v4:
        words.append(f"-m ecn {of.bang()}{draw.one(['--ecn-tcp-cwr', '--ecn-tcp-ece'])}")
    return " ".join(words)


def _icmp(of: MatchDraw) -> Words:
    draw = of.draw
    if of.v4:
        kind = draw.one(["8", "0", "3", "3/3", "3/4", "11", "11/0", "5", "any", "echo-request", "13", "port-unreachable"])
        return f"-p icmp -m icmp {of.bang()}--icmp-type {kind}" if draw.chance(0.8) else "-p icmp"
    kind = draw.one(["128", "129", "1", "1/4", "2", "3/0", "echo-request", "135", "4/1", "255"])
    return f"-p ipv6-icmp -m icmp6 {of.bang()}--icmpv6-type {kind}" if draw.chance(0.8) else "-p ipv6-icmp"


# --- extensions --------------------------------------------------------------------------------------------------


def _mark(of: MatchDraw) -> Words:
    value, mask = of.mark(), of.draw.one([0xFFFFFFFF, of.mark(), 0xFFFF, 0xFF00FF])
    if of.draw.chance(0.3):
        value = 0
    return f"-m mark {of.bang(0.3)}--mark {value:#x}/{mask:#x}"


def _connmark(of: MatchDraw) -> Words:
    return _mark(of).replace("-m mark", "-m connmark")


_STATES = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT")


def _ctstate(of: MatchDraw) -> Words:
    if of.draw.chance(0.15):
        return f"-m state {of.bang()}--state {','.join(of.draw.some(_STATES[:5], 1, 3))}"
    common = of.draw.chance(0.5)
    states = of.draw.one(["NEW", "RELATED,ESTABLISHED", "INVALID", "ESTABLISHED"]) if common else None
    return f"-m conntrack {of.bang()}--ctstate {states or ','.join(of.draw.some(_STATES, 1, 3))}"


def _conntrack(of: MatchDraw) -> Words:
    draw = of.draw
    options = [
        f"{of.bang()}--ctproto {draw.one(['tcp', 'udp', '1', '58'])}",
        f"{of.bang()}--ctorigsrc {of.address()}",
        f"{of.bang()}--ctorigdst {of.address()}",
        f"{of.bang()}--ctreplsrc {of.address()}",
        f"{of.bang()}--ctrepldst {of.address()}",
        f"{of.bang()}--ctorigsrcport {draw.one(of.world.client_ports)}",
        f"{of.bang()}--ctorigdstport {of.port()}:{of.port() + 4000}",
        f"{of.bang()}--ctreplsrcport {of.port()}",
        f"{of.bang()}--ctrepldstport {draw.one(of.world.client_ports)}",
        f"{of.bang()}--ctstatus {','.join(draw.some(['SEEN_REPLY', 'ASSURED', 'CONFIRMED', 'EXPECTED'], 1, 2))}",
        f"--ctdir {draw.one(['ORIGINAL', 'REPLY'])}",
        f"{of.bang()}--ctstatus NONE",
    ]
    chosen = draw.some(options, 1, 2)
    if sum("--ctstatus" in option for option in chosen) > 1:
        chosen = chosen[:1]
    if any(word in option and "port" in option for option in chosen for word in ("--ctorig", "--ctrepl")) and not any(
        "--ctproto" in option for option in chosen
    ):
        chosen.insert(0, f"--ctproto {draw.one(['tcp', 'udp'])}")
    if draw.chance(0.25):
        chosen.insert(0, f"--ctstate {','.join(draw.some(_STATES, 1, 3))}")
    return f"-m conntrack {' '.join(chosen)}"


def _set(of: MatchDraw) -> Words:
    fitting = [one for one in of.sets if one.family in (None, of.place.family)]
    if not fitting:
        return ""
    chosen = of.draw.one(fitting)
    count = chosen.dimensions if of.draw.chance(0.85) else of.draw.number(1, 4)
    flags = ",".join(of.draw.one(["src", "dst"]) for _ in range(count))
    extra = ""
    if of.draw.chance(0.06):
        extra = " --return-nomatch"
    elif of.draw.chance(0.06):
        extra = (
            f" {of.bang()}--packets-eq {of.draw.number(0, 3)}"
            if of.draw.chance(0.5)
            else f" --packets-{of.draw.one(['lt', 'gt'])} {of.draw.number(0, 3)}"
        )
    elif of.draw.chance(0.04):
        extra = f" --bytes-gt {of.draw.number(0, 200)}"
    elif of.draw.chance(0.03):
        extra = " ! --update-counters"
    return f"-m set {of.bang()}--match-set {chosen.name} {flags}{extra}"


def _addrtype(of: MatchDraw) -> Words:
    kinds = ["LOCAL", "UNICAST", "BROADCAST", "MULTICAST", "ANYCAST", "UNREACHABLE", "BLACKHOLE"]
    if not of.v4:
        kinds = ["LOCAL", "UNICAST", "MULTICAST", "ANYCAST", "UNREACHABLE"]
    words = ["-m addrtype"]
    if of.draw.chance(0.4):
        words.append(f"{of.bang()}--src-type {','.join(of.draw.some(kinds, 1, 2))}")
    if of.draw.chance(0.75) or len(words) == 1:
        words.append(f"{of.bang()}--dst-type {','.join(of.draw.some(kinds, 1, 2))}")
    if of.draw.chance(0.15) and of.place.has_input:
        words.append("--limit-iface-in")
    elif of.draw.chance(0.15) and of.place.has_output:
        words.append("--limit-iface-out")
    return " ".join(words)


def _length(of: MatchDraw) -> Words:
    return f"-m length {of.bang()}--length {of.draw.one(['28', '40', '0:60', '61:', '100:50', '48', '60:200'])}"


def _ttl(of: MatchDraw) -> Words:
    name = "ttl" if of.v4 else "hl"
    form = of.draw.one(
        [f"{of.bang()}--{name}-eq 64", f"{of.bang()}--{name}-eq 63", f"--{name}-lt 3", f"--{name}-gt 62", f"--{name}-eq 1"]
    )
    return f"-m {name} {form}"


def _tos(of: MatchDraw) -> Words:
    return f"-m tos {of.bang()}--tos {of.draw.one(['0x10', '0x10/0x1c', '0x00', '0xb8', '0x02/0x03'])}"


def _dscp(of: MatchDraw) -> Words:
    return f"-m dscp {of.bang()}--dscp {of.draw.one(['0x04', '0x2e', '0x00'])}"


def _ecn(of: MatchDraw) -> Words:
    return f"-m ecn {of.bang()}--ecn-ip-ect {of.draw.number(0, 3)}"


def _iprange(of: MatchDraw) -> Words:
    ordinary = sorted(of.world.addresses[of.place.family].all_hosts)
    low, high = of.draw.one(ordinary), of.draw.one(ordinary)
    side = of.draw.one(["src", "dst"])
    return f"-m iprange {of.bang()}--{side}-range {min(low, high)}-{max(low, high)}"


def _pkttype(of: MatchDraw) -> Words:
    return f"-m pkttype {of.bang()}--pkt-type {of.draw.one(['unicast', 'broadcast', 'multicast'])}"


def _mac(of: MatchDraw) -> Words:
    return f"-m mac {of.bang()}--mac-source 02:00:00:00:00:99" if of.place.has_input else ""


def _rpfilter(of: MatchDraw) -> Words:
    if not (of.place.only(Hook.PREROUTING) and of.place.table in (TableName.RAW, TableName.MANGLE)):
        return ""
    options = of.draw.some(["--loose", "--validmark", "--accept-local", "--invert"], 0, 3)
    return " ".join(["-m rpfilter", *options])


def _owner(of: MatchDraw) -> Words:
    if not of.place.only(Hook.OUTPUT, Hook.POSTROUTING):
        return ""
    form = of.draw.one(
        [f"{of.bang()}--uid-owner 0", f"{of.bang()}--uid-owner 1000", f"{of.bang()}--uid-owner 1000-1001",
         f"{of.bang()}--gid-owner 0", f"{of.bang()}--gid-owner 1000", f"{of.bang()}--socket-exists"]
    )  # fmt: skip
    return f"-m owner {form}"


def _socket(of: MatchDraw) -> Words:
    if not of.place.only(Hook.PREROUTING, Hook.INPUT):
        return ""
    return f"-m socket{of.draw.one(['', ' --nowildcard', ' --transparent'])}"


def _physdev(of: MatchDraw) -> Words:
    if Hook.OUTPUT in of.place.hooks:
        return ""
    return f"-m physdev {of.bang()}{of.draw.one(['--physdev-is-in', '--physdev-is-bridged', '--physdev-is-out'])}"


def _devgroup(of: MatchDraw) -> Words:
    if of.place.has_input:
        return f"-m devgroup {of.bang()}--src-group {of.draw.one(['0', '1', '0x0/0x1'])}"
    return f"-m devgroup {of.bang()}--dst-group {of.draw.one(['0', '1'])}" if of.place.has_output else ""


def _policy(of: MatchDraw) -> Words:
    if of.place.has_input:
        return "-m policy --dir in --pol none"
    return f"-m policy --dir out --pol {of.draw.one(['none', 'none', 'ipsec'])}" if of.place.has_output else ""


def _u32(of: MatchDraw) -> Words:
    tests = ["6&0xff=1:17", "0>>22&0x3c@0>>16=80", "0>>22&0x3c@0&0xffff=53,80", "100=0", "4&0x1fff=0", "0&0xffff=0:100"]
    return f'-m u32 {of.bang()}--u32 "{of.draw.one(tests)}"'


_PROGRAMS = (
    "1,6 0 0 65535",
    "1,6 0 0 0",
    "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0",
    "4,48 0 0 8,37 0 1 62,6 0 0 1,6 0 0 0",
    "3,177 0 0 0,72 0 0 2,22 0 0 0",
)


def _bpf(of: MatchDraw) -> Words:
    return f'-m bpf --bytecode "{of.draw.one(_PROGRAMS)}"'


def _string(of: MatchDraw) -> Words:
    span = of.draw.one(["", " --from 28", " --from 30 --to 40", " --to 36", " --from 40"])
    case = of.draw.one(["", "", " --icase"])
    pattern = of.draw.one(['--string "hello"', '--string "Hell"', '--hex-string "|68656c6c|"', '--hex-string "|0000|"'])
    return f"-m string {pattern} --algo {of.draw.one(['bm', 'kmp'])}{span}{case}"


def _comment(of: MatchDraw) -> Words:
    return f'-m comment --comment "{of.draw.one(["a", "cali:x_-1", "two words", "it is"])}"'


def _limit(of: MatchDraw) -> Words:
    return f"-m limit --limit {of.draw.one(['1000/sec', '1/hour', '5/min'])} --limit-burst {of.draw.one([1, 5, 100])}"


def _hashlimit(of: MatchDraw) -> Words:
    name = f"h{of.draw.number(0, 99999)}"
    mode = of.draw.one(["", " --hashlimit-mode srcip", " --hashlimit-mode srcip,dstport"])
    rate = f"{of.draw.one(['upto', 'above'])} {of.draw.one(['1/day', '1000/sec'])}"
    return f"-m hashlimit --hashlimit-{rate} --hashlimit-burst 3 --hashlimit-name {name}{mode}"


def _statistic(of: MatchDraw) -> Words:
    every = of.draw.number(1, 3)
    form = of.draw.one(
        [
            f"--mode nth {of.bang()}--every {every} --packet {every - 1}",
            f"--mode random {of.bang()}--probability {of.draw.one(['0', '1', '0.5'])}",
        ]
    )
    return f"-m statistic {form}"


def _recent(of: MatchDraw) -> Words:
    name = of.draw.one(["ra", "rb"])
    command = of.draw.one(
        [
            "--set",
            "--set",
            f"{of.bang()}--rcheck",
            f"{of.bang()}--update",
            "--remove",
            "--rcheck --hitcount 2",
            "--rcheck --seconds 600",
        ]
    )
    return f"-m recent {command} --name {name} {of.draw.one(['--rsource', '--rdest'])}"


def _connlimit(of: MatchDraw) -> Words:
    form = of.draw.one(["--connlimit-above 1", "--connlimit-upto 2", "--connlimit-above 0"])
    mask = of.draw.one(["", " --connlimit-mask 24" if of.v4 else " --connlimit-mask 64", " --connlimit-daddr"])
    return f"-m connlimit {form}{mask}"


def _quota(of: MatchDraw) -> Words:
    return f"-m quota {of.bang()}--quota {of.draw.one([0, 100, 200, 100000])}"


def _time(of: MatchDraw) -> Words:
    forms = ["--datestart 2001-01-01", "--datestop 2001-01-01", "--weekdays Mon,Tue,Wed,Thu,Fri,Sat,Sun"]
    return f"-m time {of.draw.one(forms)}"


def _connbytes(of: MatchDraw) -> Words:
    draw = of.draw
    span = f"{of.bang()}--connbytes {draw.one(['2', '0:1', '2:5', '100', '1:'])}"
    direction, mode = draw.one(["original", "reply", "both"]), draw.one(["packets", "bytes", "avgpkt"])
    return f"-m connbytes {span} --connbytes-dir {direction} --connbytes-mode {mode}"


def _helper(of: MatchDraw) -> Words:
    return f"-m helper {of.bang()}--helper tftp"


def _cpu(of: MatchDraw) -> Words:
    return f"-m cpu {of.bang()}--cpu 7"


def _connlabel(of: MatchDraw) -> Words:
    return f"-m connlabel {of.bang()}--label {of.draw.number(1, 3)}{of.draw.one(['', ' --set'])}"


def _cluster(of: MatchDraw) -> Words:
    return f"-m cluster --cluster-total-nodes 2 --cluster-local-node {of.draw.number(1, 2)} --cluster-hash-seed 0xdeadbeef"


def _realm(of: MatchDraw) -> Words:
    return (
        f"-m realm {of.bang()}--realm {of.draw.one(['0', '5'])}" if of.v4 and Hook.PREROUTING not in of.place.hooks else ""
    )


def _frag(of: MatchDraw) -> Words:
    return f"-m frag {of.draw.one(['--fragfirst', '--fragmore', '--fraglast', '--fragid 1:70000', '! --fragid 5'])}"


def _options(of: MatchDraw) -> Words:
    name = of.draw.one(["hbh", "dst"])
    return f"-m {name} {of.draw.one([f'--{name}-len 8', f'! --{name}-len 8', f'--{name}-opts 1:4', ''])}".rstrip()


def _rt(of: MatchDraw) -> Words:
    return f"-m rt {of.draw.one(['--rt-type 2', '! --rt-type 2', '--rt-segsleft 0:1', '--rt-len 24', '--rt-type 0'])}"


def _ipv6header(of: MatchDraw) -> Words:
    names = of.draw.some(["hop", "dst", "frag", "route", "prot", "auth", "esp"], 1, 2)
    return f"-m ipv6header {of.bang()}--header {','.join(names)}{of.draw.one([' --soft', ' --soft', ''])}"


def _eui64(of: MatchDraw) -> Words:
    return "-m eui64" if of.place.has_input else ""


def _srh(of: MatchDraw) -> Words:
    return f"-m srh {of.draw.one(['--srh-next-hdr 6', '--srh-segs-left-gt 0', '! --srh-last-entry-eq 1'])}"


Maker = Callable[[MatchDraw], Words]
_OFFERS: tuple[tuple[Maker, float], ...] = (
    (_mark, 6), (_connmark, 2), (_ctstate, 7), (_conntrack, 4), (_set, 7), (_addrtype, 4), (_length, 1), (_ttl, 2),
    (_tos, 1), (_dscp, 0.7), (_ecn, 0.7), (_iprange, 1.5), (_pkttype, 0.5), (_mac, 0.3), (_rpfilter, 2), (_owner, 2),
    (_socket, 0.3), (_physdev, 0.3), (_devgroup, 0.3), (_policy, 0.4), (_u32, 1), (_bpf, 0.7), (_string, 1), (_comment, 1),
    (_limit, 0.3), (_hashlimit, 0.3), (_statistic, 0.6), (_recent, 1), (_connlimit, 0.15), (_quota, 0.3), (_time, 0.3),
    (_connbytes, 0.6), (_helper, 0.2), (_cpu, 0.2), (_connlabel, 0.4), (_cluster, 0.2), (_realm, 0.3),
)  # fmt: skip
_OFFERS_V6: tuple[tuple[Maker, float], ...] = (
    (_frag, 0.6), (_options, 0.5), (_rt, 0.4), (_ipv6header, 0.6), (_eui64, 0.2), (_srh, 0.2),
)  # fmt: skip
EXTENSIONS = _OFFERS + _OFFERS_V6
"""Every extension that is drawn apart from layer 4, with its weight."""
