"""Rules as people type them: the words of a printed rule respelt, reordered, and sometimes spoilt.

The result may be right or wrong; what it is good for is that two readers must agree on it.
"""

from __future__ import annotations

import re

from hypothesis import strategies as st

_LONG: dict[str, tuple[str, ...]] = {
    "-s": ("--source", "--src"),
    "-d": ("--destination", "--dst"),
    "-i": ("--in-interface",),
    "-o": ("--out-interface",),
    "-p": ("--protocol", "--proto"),
    "-j": ("--jump",),
    "-g": ("--goto",),
    "-m": ("--match",),
    "-f": ("--fragment", "--fragments"),
    "--dport": ("--destination-port",),
    "--sport": ("--source-port",),
    "--dports": ("--destination-ports",),
    "--sports": ("--source-ports",),
    "--set-xmark": ("--set-mark", "--or-mark", "--and-mark", "--xor-mark"),
    "--ttl-eq": ("--ttl",),
    "--hl-eq": ("--hl",),
    "--set-tos": ("--or-tos", "--and-tos", "--xor-tos"),
    "--to-destination": ("--to",),
    "--to-source": ("--to",),
    "--to-ports": ("--to",),
    "--hashlimit-upto": ("--hashlimit",),
    "--match-set": ("--set",),
}  # fmt: skip
"""Other names of options."""
_ARGUMENTS = (
    "0", "1", "5", "255", "256", "65535", "65536", "4294967295", "4294967296", "0x10", "010", "1:5", "5:1", ":7", "7:",
    "1-5", "5-1", "1,2,3", "1/2", "0x1/0xff", "tcp", "http", "10.0.0.1", "10.0.0.0/8", "10.1", "fd00::1", "fd00::/8",
    "1.2.3.4,5.6.7.8", "::/0", "0/0", "any", "src", "src,dst", "NEW", "new,est", "LOCAL", "ALL NONE", "", "foo", "a b",
    "5/min", "5/s", "0/s", "12:30", "Mon", "2020-01-01", "echo-request", "ping", "host-prohib", "ACCEPT", "x", "-1", "!",
)  # fmt: skip
"""Arguments in many forms, most of them wrong for most options."""


@st.composite
def respelt(draw: st.DrawFn, words: list[str]) -> list[str]:
    """The words of a rule with some options renamed, cut short, joined to their argument, doubled, spoilt or moved."""
    groups = _groups(words)
    for place in range(len(groups)):
        if draw(st.integers(0, 3)) == 0:
            groups[place] = draw(_changed(groups[place]))
    if len(groups) > 1 and draw(st.integers(0, 3)) == 0:
        first, second = draw(st.tuples(st.integers(0, len(groups) - 1), st.integers(0, len(groups) - 1)))
        groups[first], groups[second] = groups[second], groups[first]
    if groups and draw(st.integers(0, 5)) == 0:
        groups.insert(draw(st.integers(0, len(groups))), draw(st.sampled_from(groups)))
    if len(groups) > 1 and draw(st.integers(0, 5)) == 0:
        groups.pop(draw(st.integers(0, len(groups) - 1)))
    return [word for group in groups for word in group]


def _groups(words: list[str]) -> list[list[str]]:
    """Each option with its `!` and its arguments."""
    groups: list[list[str]] = []
    for word in words:
        starts = word == "!" or word.startswith("-")
        if not groups or (starts and groups[-1] != ["!"]):
            groups.append([word])
        else:
            groups[-1].append(word)
    return groups


@st.composite
def _changed(draw: st.DrawFn, group: list[str]) -> list[str]:
    bang, rest = (["!"], group[1:]) if group[0] == "!" else ([], group)
    if not rest:
        return group
    option, *arguments = rest
    match draw(st.sampled_from(["rename", "cut", "join", "invert", "argument", "drop argument"])):
        case "rename" if option in _LONG:
            option = draw(st.sampled_from(_LONG[option]))
        case "cut" if len(option) > 4:
            option = option[: draw(st.integers(4, len(option)))]
        case "join" if option.startswith("--") and arguments:
            return [*bang, f"{option}={arguments[0]}", *arguments[1:]]
        case "invert":
            bang = [] if bang else ["!"]
        case "argument" if arguments:
            arguments = [draw(st.sampled_from(_ARGUMENTS)), *arguments[1:]]
        case "drop argument":
            arguments = arguments[1:]
    return [*bang, option, *arguments]


# --- what the tools read as something else ------------------------------------------------------------------------

_MISREAD: dict[str, str] = {
    r"(-j|--ju?m?p?)[ =]SET .*! ": "the SET target takes a `!` before its options and ignores it",
    r"--limit \S*[^\w/]": "a rate is read up to the first strange character",
    r"(--(add|del|map)-set|--exist|--timeout|--map-).*\1": "the SET target takes its options twice",
    r"(--return-nomatch|--update-counters|--update-subcounters) (.* )?\1": "the set match takes these twice",
    r"--fr? ": "only ip6tables-legacy does not know --fragments",
    r"--he\w* ": "the beginning of --help prints the help",
    r"--path ": "control groups are the node's",
    r"--(helper|timeout) ": "helpers are the node's",
    r"--weekdays? ": "days above 7 and names in any case",
    r"--(hbh|dst)-opts ": "numbers of more than a byte",
    r"--zone.* --zone": "two zones",
    r"-set[ =](?!four|six)": "sets are the node's",
    r"--label ": "names of labels are the node's",
    r"0x10/0": "a mask of no bits",
    r"--srh-": "one number for several tests",
    r"--connbytes 0:0": "printed as another test",
    r"--connlimit-mask ": "masks longer than an address",
    r"--hashlimit": "rates with units of their own",
    r"I_DATA": "flags that are not printed",
}
"""Spellings that the tools take for something else than is written, so that the codec refuses them."""


def is_misread(words: list[str]) -> bool:
    """True when the codec may refuse what the tools take, or the reverse, and both are right."""
    text = " ".join(words)
    return "" in words or any(re.search(pattern, text) for pattern in _MISREAD)
