"""The text of one rule: what follows `-A CHAIN` in iptables-save, to and from a `Rule`.

Goals, in this order: what is printed back is what was read, byte for byte; what is understood is understood as the kernel
does; a dump of a million rules is read in seconds and little memory. A rule's text is cut before every ` -m`, ` -j` and
` -g`; each piece is read once and remembered, so rules that share pieces share values. A cut inside a quoted string or in
front of an argument that looks like an option leaves a piece that cannot be read, and then the rule is read word by word
(`specification`). A piece that no table explains becomes an `OpaqueMatch` or `OpaqueTarget` that keeps its text.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tortie.codec.extension import build_value, format_options, read_options
from tortie.codec.header import BEHIND, format_header_match, header_rank, in_printed_order, read_header
from tortie.codec.registry import MATCH_EXTENSIONS, TARGET_EXTENSIONS, match_extension, target_extension
from tortie.codec.specification import build_specification, read_line, read_specification
from tortie.codec.words import quote, split_words
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.match import (
    CommentMatch,
    DestinationMatch,
    FragmentMatch,
    InInterfaceMatch,
    Match,
    OpaqueMatch,
    OutInterfaceMatch,
    ProtocolMatch,
    RateestMatch,
    SourceMatch,
)
from tortie.netfilter.rule import Counters, Rule
from tortie.netfilter.target import Goto, Jump, OpaqueTarget, Target

_CUT = re.compile(r" (?=-[mjg] )")
_COMMENT = "-m comment --comment "
_PLAIN_COMMENT = re.compile(r'"([^"\\]*)"|([A-Za-z0-9_-]+)')
_REMEMBERED_PIECES = 200_000

Piece = tuple[tuple[Match, ...], "Target | None"]


class RuleReader:
    """Reads the rules of one family and remembers their pieces; keep one for a file, or use `parse_rule`."""

    def __init__(self, family: IPFamily) -> None:
        self.family = family
        self.chain_names: set[str] = set()
        """Names of chains that rules jump or go to."""
        self._pieces: dict[str, Piece] = {"": ((), None)}

    def read(self, text: str, counters: Counters | None = None) -> Rule:
        """The rule of one line; raises `InvalidInput` when not even an opaque part can be made of it."""
        try:
            return self._read_pieces(text, counters)
        except InvalidInput:
            return self._read_words(text, counters)

    def read_all(self, text: str, counters: Counters | None = None) -> tuple[Rule, ...]:
        """The rules of one line: several when it lists addresses with commas, none when it is for the other family."""
        try:
            return (self._read_pieces(text, counters),)
        except InvalidInput:
            try:
                line = read_line(split_words(text), self.family)
                if line.command or line.table is not None:
                    raise InvalidInput("a command inside a rule")
                if line.other_family:
                    return ()
                rules = build_specification(line).rules
            except InvalidInput:
                return (self._read_opaque(text, counters),)
            self._note_chain(rules[0].target)
            return tuple(Rule(rule.matches, rule.target, counters or rule.counters) for rule in rules)

    def _read_pieces(self, text: str, counters: Counters | None) -> Rule:
        matches: tuple[Match, ...] = ()
        target: Target | None = None
        remembered = self._pieces
        for piece in _CUT.split(text):
            if target is not None:
                raise InvalidInput("options after the target")
            found = remembered.get(piece)
            if found is None:
                if piece.startswith(_COMMENT):
                    found = ((_read_comment(piece),), None)
                else:
                    found = self._read_piece(piece)
                    self._note_chain(found[1])
                    if len(remembered) >= _REMEMBERED_PIECES:
                        remembered.clear()
                    remembered[piece] = found
            matches += found[0]
            target = found[1]
        return Rule(matches, target, counters)

    def _note_chain(self, target: Target | None) -> None:
        if isinstance(target, Jump | Goto):
            self.chain_names.add(target.chain)

    def _read_piece(self, piece: str) -> Piece:
        words = split_words(piece)
        if not words or len(words) == 1 or words[0] not in ("-m", "-j", "-g"):
            return tuple(in_printed_order(read_header(words, self.family))), None
        option, name, *rest = words
        if option == "-m":
            return (self._read_match(name, rest),), None
        if option == "-g":
            if rest:
                raise InvalidInput(f"unknown option {rest[0]!r} after a goto")
            return (), Goto(name)
        return (), self._read_target(name, rest)

    def _read_match(self, name: str, words: list[str]) -> Match:
        extension = MATCH_EXTENSIONS[self.family].get(name)
        if extension is None:
            if name == "rateest":
                return RateestMatch(tuple(words))
            raise InvalidInput(f"unknown match {name!r}")
        found: Match = build_value(extension, read_options(extension, words), self.family)
        return found

    def _read_target(self, name: str, words: list[str]) -> Target:
        extension = TARGET_EXTENSIONS[self.family].get(name)
        if extension is not None:
            found: Target = build_value(extension, read_options(extension, words), self.family)
            return found
        if words:
            raise InvalidInput(f"unknown target {name!r}")
        return Jump(name)

    def _read_words(self, text: str, counters: Counters | None) -> Rule:
        try:
            rules = read_specification(split_words(text), self.family).rules
        except InvalidInput:
            return self._read_opaque(text, counters)
        if len(rules) != 1:
            raise InvalidInput("a list of addresses stands for several rules", remedy="write one rule for each address")
        self._note_chain(rules[0].target)
        return Rule(rules[0].matches, rules[0].target, counters or rules[0].counters)

    def _read_opaque(self, text: str, counters: Counters | None) -> Rule:
        """The rule with every piece that cannot be read kept as text."""
        matches: list[Match] = []
        target: Target | None = None
        for piece in cut_rule(text):
            try:
                if target is not None:
                    raise InvalidInput("options after the target")
                found = self._read_piece(piece)
            except InvalidInput:
                option, _, rest = piece.partition(" ")
                name, _, options = rest.partition(" ")
                if not name or _inside_quotes(piece):
                    raise
                if option == "-m" and target is None:
                    found = (OpaqueMatch(name, options),), None
                elif option == "-j" and target is None:
                    found = (), OpaqueTarget(name, options)
                else:
                    raise
            matches += found[0]
            target = found[1] if found[1] is not None else target
        self._note_chain(target)
        return Rule(tuple(matches), target, counters)


def cut_rule(text: str) -> list[str]:
    """The text cut before each `-m`, `-j` and `-g` that stands outside quotes; joined by blanks it is the text again."""
    pieces: list[str] = []
    for part in _CUT.split(text):
        if pieces and _inside_quotes(pieces[-1]):
            pieces[-1] += f" {part}"
        else:
            pieces.append(part)
    return pieces


def _inside_quotes(text: str) -> bool:
    try:
        split_words(text)
    except InvalidInput:
        return True
    return False


def _read_comment(piece: str) -> CommentMatch:
    body = piece[len(_COMMENT) :]
    found = _PLAIN_COMMENT.fullmatch(body)
    if found is not None:
        return CommentMatch(found[1] if found[2] is None else found[2])
    words = split_words(body)
    if len(words) != 1:
        raise InvalidInput("a comment is one word or a quoted string")
    return CommentMatch(words[0])


@lru_cache(maxsize=2)
def _shared_reader(family: IPFamily) -> RuleReader:
    return RuleReader(family)


def parse_rule(text: str, family: IPFamily, counters: Counters | None = None) -> Rule:
    """Reads what follows `-A CHAIN `; parts no table explains become opaque. Raises `InvalidInput` for what is no rule."""
    return _shared_reader(family).read(text, counters)


class RuleWriter:
    """Prints the rules of one family and remembers the text of every test and target it has met.

    It knows values by identity and keeps them, so it pays where rules share them, as those of one parsed file do. With
    `whole` it remembers whole rules too, for whoever prints the same ones again.
    """

    def __init__(self, family: IPFamily, *, whole: bool = False) -> None:
        self.family = family
        self._texts: dict[int, tuple[object, str, int]] = {}
        self._rules: dict[int, tuple[Rule, str]] | None = {} if whole else None

    def forget_rules(self) -> None:
        """Forgets whole rules, and keeps their parts."""
        if self._rules is not None:
            self._rules = {}

    def write(self, rule: Rule) -> str:
        """What iptables-save prints after `-A CHAIN `; empty for a rule without tests and target."""
        if self._rules is None:
            return self._write(rule)
        held = self._rules.get(id(rule))
        if held is None:
            held = self._rules[id(rule)] = rule, self._write(rule)
        return held[1]

    def _write(self, rule: Rule) -> str:
        pieces = []
        last = 0
        texts = self._texts
        for match in rule.matches:
            if type(match) is CommentMatch:
                pieces.append(_COMMENT + quote(match.text))
                last = BEHIND
                continue
            known = texts.get(id(match))
            if known is None:
                known = self._remember(match, format_match(match, self.family), header_rank(match))
            if known[2] < last:
                return format_rule(rule, self.family)  # not in the order in which it is printed
            last = known[2]
            pieces.append(known[1])
        if rule.target is not None:
            known = texts.get(id(rule.target))
            if known is None:
                known = self._remember(rule.target, format_target(rule.target, self.family), BEHIND)
            pieces.append(known[1])
        return " ".join(pieces)

    def _remember(self, value: object, text: str, rank: int) -> tuple[object, str, int]:
        if len(self._texts) >= _REMEMBERED_PIECES:
            self._texts.clear()
        self._texts[id(value)] = known = (value, text, rank)
        return known


def format_rule(rule: Rule, family: IPFamily) -> str:
    """What iptables-save prints after `-A CHAIN `; empty for a rule without tests and target."""
    pieces = [format_match(match, family) for match in in_printed_order(rule.matches)]
    if rule.target is not None:
        pieces.append(format_target(rule.target, family))
    return " ".join(piece for piece in pieces if piece)


def format_match(match: Match, family: IPFamily) -> str:
    """One test as printed, with its `-m name` unless it belongs to the header."""
    if isinstance(match, CommentMatch):
        return _COMMENT + quote(match.text)
    if isinstance(
        match, SourceMatch | DestinationMatch | InInterfaceMatch | OutInterfaceMatch | ProtocolMatch | FragmentMatch
    ):
        return format_header_match(match)
    if isinstance(match, OpaqueMatch):
        if not match.name:
            return match.text
        return f"-m {match.name} {match.text}" if match.text else f"-m {match.name}"
    if isinstance(match, RateestMatch):
        return " ".join(("-m rateest", *match.words))
    extension = match_extension(match, family)
    options = format_options(extension, match, family)
    return f"-m {extension.name} {options}" if options else f"-m {extension.name}"


def format_target(target: Target, family: IPFamily) -> str:
    """A target as printed, with its `-j` or `-g`."""
    if isinstance(target, Jump):
        return f"-j {target.chain}"
    if isinstance(target, Goto):
        return f"-g {target.chain}"
    if isinstance(target, OpaqueTarget):
        return f"-j {target.name} {target.text}" if target.text else f"-j {target.name}"
    extension = target_extension(target, family)
    options = format_options(extension, target, family)
    return f"-j {extension.name} {options}" if options else f"-j {extension.name}"
