"""A rule or command as people write it: options in any order, long names, abbreviations, implied matches, address lists.

This is the grammar of the tools' own command line (iptables(8); behaviour of iptables 1.8.9): getopt_long over the main
options and the options of every extension loaded so far, the newest first; an option nobody knows loads the match of the
protocol given with `-p`. `rule` uses it for lines that are not as iptables-save prints them, `command` for whole commands.
What depends on tables, hooks and chains is not decided here but in `placement` and `command`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tortie.codec.extension import Extension, Given, Negation, Option, build_value
from tortie.codec.header import in_printed_order, is_vacuous, read_header_option
from tortie.codec.kind import read_net, read_number
from tortie.codec.registry import MATCH_EXTENSIONS, TARGET_EXTENSIONS
from tortie.codec.service import PROTOCOL_SERVICES
from tortie.net.address import AddressMask, IPFamily
from tortie.net.error import InvalidInput
from tortie.net.protocol import parse_protocol, protocol_name
from tortie.netfilter.match import DestinationMatch, Match, SourceMatch
from tortie.netfilter.rule import Counters, Rule
from tortie.netfilter.target import Goto, Jump, Target

MAIN_OPTIONS: dict[str, str] = {
    "append": "A", "delete": "D", "check": "C", "insert": "I", "replace": "R", "list": "L", "list-rules": "S",
    "flush": "F", "zero": "Z", "new-chain": "N", "delete-chain": "X", "rename-chain": "E", "policy": "P", "source": "s",
    "destination": "d", "src": "s", "dst": "d", "protocol": "p", "in-interface": "i", "jump": "j", "table": "t",
    "match": "m", "numeric": "n", "out-interface": "o", "verbose": "v", "wait": "w", "exact": "x", "fragments": "f",
    "version": "V", "help": "h", "line-numbers": "0", "modprobe": "M", "set-counters": "c", "goto": "g", "ipv4": "4",
    "ipv6": "6",
}  # fmt: skip
"""Long names of the tools' own options and the letters they stand for (iptables(8))."""

COMMANDS = "ADCIRLSFZNXEP"
_FLAGS = "nvxfVh046"
_CHAIN_OPTIONAL = "LSFZX"
_UNATTACHED = "psdjio"
"""Options whose argument iptables 1.8.9 reads wrongly when it is not a word of its own."""
_LONGEST_TARGET = 28
_MATCH_ALIASES = {"icmpv6": "icmp6", "ipv6-icmp": "icmp6", "ipv6-mh": "mh"}
"""Protocol names whose match goes by another name (libxtables)."""


@dataclass(slots=True)
class Loaded:
    """An extension a line has loaded, with the options given so far."""

    extension: Extension
    given: list[Given] = field(default_factory=list)


@dataclass(slots=True)
class Line:
    """Everything one command line says, before it is applied to anything."""

    family: IPFamily
    command: str = ""
    chain: str = ""
    operands: list[str] = field(default_factory=list)
    """What may follow the chain: a rule number, a new name or a policy."""
    table: str | None = None
    header: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Header options by letter, with their argument and whether a `!` stood before."""
    matches: list[Loaded] = field(default_factory=list)
    target: Loaded | None = None
    jump: str | None = None
    goto: bool = False
    counters: Counters | None = None
    other_family: bool = False
    """True for a line that `-4` or `-6` keeps from rules of this family."""

    @property
    def protocol(self) -> int:
        """The protocol's number, 0 when none is given."""
        return _read_protocol(self.header["p"][0]) if "p" in self.header else 0


@dataclass(frozen=True, slots=True)
class Specification:
    """The rules that one specification stands for: one for each pair of listed addresses, in the order they are added."""

    rules: tuple[Rule, ...]


_UNKNOWN_TO_TOOLS = ("any", "ip4", "icmp6")
"""Protocol names that Tortie reads elsewhere and iptables does not."""


def _read_protocol(text: str) -> int:
    if text in _UNKNOWN_TO_TOOLS:
        raise InvalidInput(f"unknown protocol: {text!r}")
    return read_number(text, 0, 255) if text[:1].isdigit() else parse_protocol(text)


def read_specification(words: Sequence[str], family: IPFamily) -> Specification:
    """Reads a rule without a command; raises `InvalidInput` for anything the tools do not read."""
    line = read_line(words, family)
    if line.command or line.table is not None or line.other_family:
        raise InvalidInput("a command inside a rule")
    return build_specification(line)


def read_line(words: Sequence[str], family: IPFamily) -> Line:
    """Reads a whole command line without the program's name; raises `InvalidInput`."""
    return _LineReader(words, family).read()


class _LineReader:
    """One pass over the words of a line."""

    def __init__(self, words: Sequence[str], family: IPFamily) -> None:
        self.words = list(words)
        self.position = 0
        self.line = Line(family)
        self.inverted = False
        self.tried_protocol = False

    def read(self) -> Line:
        while self.position < len(self.words):
            word = self.words[self.position]
            self.position += 1
            if word == "!":
                if self.inverted:
                    raise InvalidInput("two `!` in a row")
                self.inverted = True
                continue
            if word.startswith("--") and len(word) > 2:
                self._read_long(word[2:])
            elif word == "--" and self.position == len(self.words):
                break
            elif word.startswith("-") and len(word) > 1 and word != "--":
                self._read_letters(word[1:])
            else:
                raise InvalidInput(f"bad argument {word!r}")
            self.inverted = False
        if self.inverted:
            raise InvalidInput("nothing follows the `!`")
        return self.line

    # --- finding the option ---

    def _read_long(self, text: str) -> None:
        name, equals, value = text.partition("=")
        found = self._find(name)
        if found is None and self._load_protocol():
            found = self._find(name)
        if found is None:
            raise InvalidInput(f"unknown option --{name}")
        if isinstance(found, str):
            if equals and found in _FLAGS:
                raise InvalidInput(f"--{name} takes no argument")
            self._read_main(found, value if equals else None)
            return
        loaded, option = found
        if equals and not option.words:
            raise InvalidInput(f"--{name} takes no argument")
        self._read_extension_option(loaded, option, [value] if equals else [])

    def _find(self, name: str) -> str | tuple[Loaded, Option] | None:
        """The option of this name or of which it is the beginning; None when there is none."""
        if name in MAIN_OPTIONS:
            return MAIN_OPTIONS[name]
        everything = self._loaded_newest_first()
        for loaded in everything:
            if name in loaded.extension.by_name:
                return loaded, loaded.extension.by_name[name]
        letters = {letter for long, letter in MAIN_OPTIONS.items() if long.startswith(name)}
        options = {
            (loaded.extension.name, option.name): (loaded, option)
            for loaded in reversed(everything)
            for option in loaded.extension.options
            if option.name.startswith(name)
        }
        if len(letters) + len(options) > 1:
            raise InvalidInput(f"ambiguous option --{name}")
        if letters:
            return letters.pop()
        return next(iter(options.values()), None)

    def _loaded_newest_first(self) -> list[Loaded]:
        found = list(reversed(self.line.matches))
        return [self.line.target, *found] if self.line.target else found

    def _load_protocol(self) -> bool:
        """Loads the match of the protocol once: that is what makes `-p tcp --dport` work without `-m tcp`."""
        if self.tried_protocol or "p" not in self.line.header:
            return False
        self.tried_protocol = True
        name = self.line.header["p"][0]
        if name[:1].isdigit():
            name = protocol_name(self.line.protocol)
        extension = MATCH_EXTENSIONS[self.line.family].get(_MATCH_ALIASES.get(name, name))
        if extension is None:
            return False
        self.line.matches.append(Loaded(extension))
        return True

    # --- the tools' own options ---

    def _read_letters(self, letters: str) -> None:
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in _FLAGS:
                self._read_main(letter, None)
            elif letter in set(MAIN_OPTIONS.values()):
                self._read_main(letter, letters or None)
                return
            else:
                raise InvalidInput(f"unknown option -{letter}")

    def _read_main(self, letter: str, attached: str | None) -> None:
        if letter in COMMANDS:
            self._read_command(letter, attached)
        elif letter in _UNATTACHED and attached is not None:
            raise InvalidInput(f"write a blank between -{letter} and its argument")
        elif letter in "sdiop":
            self._set_header(letter, self._argument(f"-{letter}", attached))
        elif letter == "f":
            if self.line.family is IPFamily.V6:
                raise InvalidInput("-f is not supported in IPv6", remedy="use -m frag")
            self._set_header("f", "")
        elif self.inverted:
            raise InvalidInput(f"no `!` allowed before -{letter}")
        elif letter in "jg":
            self._read_jump(letter, self._argument(f"-{letter}", attached))
        elif letter == "m":
            self._load_match(self._argument("-m", attached))
        elif letter == "t":
            self.line.table = self._argument("-t", attached)
        elif letter == "c":
            self._read_counters(self._argument("-c", attached))
        elif letter in "46":
            self.line.other_family |= int(letter) != self.line.family.value
        elif letter == "w":
            if attached is None:
                self._operand()
        elif letter == "M":
            self._argument("-M", attached)
        elif letter != "v":
            raise InvalidInput(f"-{letter} is only for commands that print")

    def _argument(self, option: str, attached: str | None) -> str:
        if attached is not None:
            return attached
        if self.position == len(self.words):
            raise InvalidInput(f"{option} needs an argument")
        self.position += 1
        return self.words[self.position - 1]

    def _operand(self) -> str | None:
        """The next word when it is no option and no `!`."""
        if self.position < len(self.words) and self.words[self.position][:1] not in ("-", "!"):
            self.position += 1
            return self.words[self.position - 1]
        return None

    def _read_command(self, letter: str, attached: str | None) -> None:
        line = self.line
        if line.command:
            raise InvalidInput(f"cannot use -{letter} with -{line.command}")
        if self.inverted:
            raise InvalidInput(f"no `!` allowed before -{letter}")
        line.command = letter
        if letter in _CHAIN_OPTIONAL:
            line.chain = attached or self._operand() or ""
        else:
            line.chain = self._argument(f"-{letter}", attached)
        if letter in "DIREPZ" and (operand := self._operand()) is not None:
            line.operands.append(operand)
        needed = {"R": "a rule number", "E": "a new name", "P": "a policy"}.get(letter)
        if needed and not line.operands:
            raise InvalidInput(f"-{letter} needs a chain and {needed}")

    def _set_header(self, letter: str, argument: str) -> None:
        if letter in self.line.header:
            raise InvalidInput(f"more than one -{letter}")
        if letter == "p":
            argument = argument.lower()
            if argument[:1].isdigit():
                argument = str(read_number(argument, 0, 255))
            if _read_protocol(argument) == 0 and self.inverted:
                raise InvalidInput("a rule with `! -p all` would never match")
        elif letter in "io" and not argument:
            raise InvalidInput("an empty interface name is likely a mistake")
        self.line.header[letter] = (argument, self.inverted)

    def _read_counters(self, packets: str) -> None:
        first, comma, second = packets.partition(",")
        if not comma:
            operand = self._operand()
            if operand is None:
                raise InvalidInput("-c needs a packet and a byte counter")
            second = operand
        if not (first.isdigit() and second.isdigit() and first.isascii() and second.isascii()):
            raise InvalidInput("-c takes two numbers")
        if self.line.counters is not None:
            raise InvalidInput("more than one -c")
        self.line.counters = Counters(int(first), int(second))

    # --- extensions ---

    def _load_match(self, name: str) -> None:
        name = _MATCH_ALIASES.get(name, name)
        extension = MATCH_EXTENSIONS[self.line.family].get(name)
        if name == "rateest":
            raise InvalidInput("rateest is read only as iptables-save prints it")
        if extension is None:
            raise InvalidInput(f"unknown match {name!r}")
        self.line.matches.append(Loaded(extension))

    def _read_jump(self, letter: str, name: str) -> None:
        line = self.line
        if line.jump is not None:
            raise InvalidInput("more than one -j or -g")
        if not 1 <= len(name) <= _LONGEST_TARGET or any(char.isspace() for char in name):
            raise InvalidInput(f"invalid target name: {name!r}", remedy=f"names have 1 to {_LONGEST_TARGET} characters")
        line.jump = name
        line.goto = letter == "g"
        extension = TARGET_EXTENSIONS[line.family].get(name) if letter == "j" else None
        if extension is not None:
            line.target = Loaded(extension)

    def _read_extension_option(self, loaded: Loaded, option: Option, arguments: list[str]) -> None:
        name = f"--{option.name}"
        if self.inverted and option.negation is Negation.REFUSED:
            raise InvalidInput(f"{name} of {loaded.extension.name} cannot be inverted")
        if not option.repeatable and any(item.option is option for item in loaded.given):
            raise InvalidInput(f"{name} of {loaded.extension.name} can only be used once")
        if loaded.extension.name == "multiport" and self.line.protocol not in PROTOCOL_SERVICES:
            raise InvalidInput(f"{name} needs -p with a protocol that has ports before it")
        while len(arguments) < option.words:
            if arguments and self.words[self.position : self.position + 1] and self.words[self.position][:1] in ("-", "!"):
                raise InvalidInput(f"{name} needs {option.words} arguments")
            arguments.append(self._argument(name, None))
        loaded.given.append(Given(option, " ".join(arguments), self.inverted))


# --- values -------------------------------------------------------------------------------------------------------


def build_specification(line: Line) -> Specification:
    """The rules a line stands for; raises `InvalidInput` for bad or missing arguments."""
    family = line.family
    header: list[Match] = [
        match
        for letter in "iopf"
        if letter in line.header
        for match in (read_header_option(f"-{letter}", *line.header[letter], family),)
        if not is_vacuous(match)
    ]
    for loaded in line.matches:
        _check_services(loaded, line.protocol)
    matches = [build_value(loaded.extension, loaded.given, family) for loaded in line.matches]
    target = _build_target(line)
    sources, destinations = list(_read_nets(line, "s")), list(_read_nets(line, "d"))
    if len(sources) * len(destinations) > 1 and any(line.header[letter][1] for letter in "sd" if letter in line.header):
        raise InvalidInput("no `!` allowed with several addresses")
    rules = []
    for source in sources:
        for destination in destinations:
            tests = [*header, *matches]
            if source is not None:
                tests.append(SourceMatch(source, line.header["s"][1]))
            if destination is not None:
                tests.append(DestinationMatch(destination, line.header["d"][1]))
            rules.append(Rule(tuple(in_printed_order(tests)), target, line.counters))
    return Specification(tuple(rules))


def _check_services(loaded: Loaded, protocol: int) -> None:
    """multiport asks for the names of the rule's protocol only."""
    names = PROTOCOL_SERVICES.get(protocol)
    if loaded.extension.name != "multiport" or names is None:
        return
    for given in loaded.given:
        for part in given.argument.replace(":", ",").split(","):
            if not part[:1].isdigit() and part not in names:
                raise InvalidInput(f"no service of {protocol_name(protocol)}: {part!r}")


def _read_nets(line: Line, letter: str) -> Iterator[AddressMask | None]:
    if letter not in line.header:
        yield None
        return
    argument, inverted = line.header[letter]
    for part in argument.split(","):
        net = read_net(part, line.family)
        yield None if not net.mask and not inverted else net


def _build_target(line: Line) -> Target | None:
    if line.jump is None:
        return None
    if line.goto:
        return Goto(line.jump)
    if line.target is None:
        return Jump(line.jump)
    found: Target = build_value(line.target.extension, line.target.given, line.family)
    return found
