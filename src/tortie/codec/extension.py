"""How the text of one match or target relates to its value, declared as a table of options.

An `Extension` lists its options in the order iptables-save prints them; each `Option` says what kind of argument it takes
and which fields of the value it fills. Reading goes words -> `Given` (option, argument, inverted) -> value, printing the
other way. The few extensions whose options do not map to fields one by one bring their own `build` and `take_apart`.
Reading accepts every spelling the tools accept, printing has exactly one: so `format(parse(text)) == text` tells whether
text was as iptables-save prints it. Options that are `printed=False` are input forms only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from typing import Any

from tortie.codec.kind import Kind
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.match import Test


class Negation(Enum):
    """What a `!` before an option does to the value."""

    REFUSED = "refused"
    TEST = "test"
    """The option's field holds a `Test` of its own."""
    WHOLE = "whole"
    """The value's `inverted` field is set."""
    VALUE = "value"
    """The option is a flag whose field is True, or False with `!`."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `fields` take the argument (or True for a flag), `constants` are set beside it.

    A field with a default that holds the default is not printed, unless `always`. An option with constants is printed
    only when the value holds all of them.
    """

    name: str
    kind: Kind | None = None
    fields: tuple[str, ...] = ()
    negation: Negation = Negation.REFUSED
    constants: Mapping[str, Any] = field(default_factory=dict)
    printed: bool = True
    always: bool = False
    repeatable: bool = False

    @property
    def words(self) -> int:
        """How many words follow the option."""
        return self.kind.words if self.kind else 0


@dataclass(frozen=True, slots=True)
class Given:
    """An option as it stands in a rule; `argument` is its words joined by a blank, as text without quotes."""

    option: Option
    argument: str = ""
    inverted: bool = False


Build = Callable[[Sequence[Given], IPFamily], Any]
TakeApart = Callable[[Any, IPFamily], Iterable["str | None"]]


@dataclass(frozen=True, slots=True)
class Extension:
    """A match or target extension: its name after `-m` or `-j`, the class of its value, its options.

    `build` makes a value from what was given; `take_apart` gives the printed pieces. Both default to the table's meaning.
    """

    name: str
    type: type[Any]
    options: tuple[Option, ...] = ()
    families: tuple[IPFamily, ...] = (IPFamily.V4, IPFamily.V6)
    constants: Mapping[str, Any] = field(default_factory=dict)
    one_of: tuple[str, ...] = ()
    """Fields of which at least one must be given."""
    build: Build | None = None
    take_apart: TakeApart | None = None
    by_name: Mapping[str, Option] = field(init=False)
    defaults: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {option.name: option for option in self.options})
        defaults = {item.name: item.default for item in fields(self.type) if item.default is not MISSING}
        object.__setattr__(self, "defaults", defaults)


def read_options(extension: Extension, words: Sequence[str]) -> list[Given]:
    """What the words after `-m name` give; raises `InvalidInput` for a word that is none of the extension's options."""
    given: list[Given] = []
    seen: set[str] = set()
    position, end = 0, len(words)
    while position < end:
        inverted = words[position] == "!"
        position += inverted
        word = words[position] if position < end else ""
        option = extension.by_name.get(word[2:]) if word.startswith("--") else None
        if option is None:
            raise InvalidInput(f"unknown option {word!r} of {extension.name}")
        if inverted and option.negation is Negation.REFUSED:
            raise InvalidInput(f"--{option.name} of {extension.name} cannot be inverted")
        if option.name in seen and not option.repeatable:
            raise InvalidInput(f"--{option.name} of {extension.name} can only be used once")
        seen.add(option.name)
        position += 1
        argument = words[position : position + option.words]
        if len(argument) < option.words:
            raise InvalidInput(f"--{option.name} of {extension.name} needs an argument")
        position += option.words
        given.append(Given(option, " ".join(argument), inverted))
    return given


def build_value(extension: Extension, given: Sequence[Given], family: IPFamily) -> Any:
    """The value of an extension; raises `InvalidInput` for a bad argument or a missing option."""
    if extension.build is not None:
        return extension.build(given, family)
    return make(extension, filled_fields(given, family, extension.constants))


def filled_fields(given: Iterable[Given], family: IPFamily, constants: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The fields that options fill, beside constants; raises `InvalidInput` as `fill_fields` does."""
    filled = dict(constants or {})
    for item in given:
        fill_fields(filled, item, family)
    return filled


def fill_fields(filled: dict[str, Any], item: Given, family: IPFamily) -> None:
    """Puts what one option says into the fields it names; raises `InvalidInput` when another option filled them already."""
    option = item.option
    for name in (*option.fields, *option.constants):
        if name in filled and filled[name] is not None:
            raise InvalidInput(f"--{option.name} cannot be used together with another option given before")
    value: Any = option.kind.read(item.argument, family) if option.kind else True
    if option.kind and option.kind.vacuous is not None and value == option.kind.vacuous and not item.inverted:
        return
    if option.negation is Negation.TEST:
        value = Test(value, item.inverted)
    elif option.negation is Negation.VALUE:
        value = not item.inverted
    elif item.inverted:
        filled["inverted"] = True
    if len(option.fields) == 1:
        filled[option.fields[0]] = value
    elif option.fields:
        filled.update(zip(option.fields, value, strict=True))
    filled.update(option.constants)


def make(extension: Extension, filled: Mapping[str, Any]) -> Any:
    """The extension's value from its fields; raises `InvalidInput` when a field without a default is missing."""
    for item in fields(extension.type):
        if item.name not in filled and item.default is MISSING:
            names = " or ".join(f"--{option.name}" for option in extension.options if item.name in _sets(option))
            raise InvalidInput(f"{extension.name} needs {names or item.name}")
    if extension.one_of and not any(filled.get(name) for name in extension.one_of):
        raise InvalidInput(f"{extension.name} needs an option")
    return extension.type(**filled)


def _sets(option: Option) -> set[str]:
    return {*option.fields, *option.constants}


def format_options(extension: Extension, value: Any, family: IPFamily) -> str:
    """The text after `-m name` or `-j NAME`, as iptables-save prints it; empty when nothing is printed."""
    take_apart = extension.take_apart
    pieces = take_apart(value, family) if take_apart else _pieces(extension, value, family)
    return " ".join(piece for piece in pieces if piece is not None)


def _pieces(extension: Extension, value: Any, family: IPFamily) -> Iterable[str | None]:
    for option in extension.options:
        if option.printed:
            yield format_option(option, value, family, extension.defaults)


def format_option(option: Option, value: Any, family: IPFamily, defaults: Mapping[str, Any]) -> str | None:
    """One option as printed, or None when the value does not call for it."""
    for name, constant in option.constants.items():
        if getattr(value, name) != constant:
            return None
    held = tuple(getattr(value, name) for name in option.fields)
    if len(held) == 1 and not option.always and held[0] == defaults.get(option.fields[0], MISSING):
        return None
    argument: Any = held[0] if len(held) == 1 else held
    if option.negation is Negation.TEST:
        inverted, argument = argument.inverted, argument.value
        if option.kind and option.kind.vacuous is not None and argument == option.kind.vacuous and not option.kind.inverts:
            return None
    elif option.negation is Negation.VALUE:
        inverted = not argument
    else:
        inverted = option.negation is Negation.WHOLE and value.inverted
    head = f"! --{option.name}" if inverted else f"--{option.name}"
    return f"{head} {option.kind.write(argument, family)}" if option.kind else head


# --- short forms for tables ---------------------------------------------------------------------------------------


def test(name: str, kind: Kind | None, field_name: str) -> Option:
    """An option with a `!` of its own."""
    return Option(name, kind, (field_name,), Negation.TEST)


def whole(name: str, kind: Kind | None, *field_names: str, always: bool = False, **constants: Any) -> Option:
    """The option whose `!` inverts the whole match."""
    return Option(name, kind, field_names, Negation.WHOLE, constants, always=always)


def switch(name: str, field_name: str) -> Option:
    """A flag that is on by default and off with `!`, or the reverse: the field is a bool."""
    return Option(name, None, (field_name,), Negation.VALUE)


def plain(name: str, kind: Kind | None, *field_names: str, always: bool = False, **constants: Any) -> Option:
    """An option that cannot be inverted."""
    return Option(name, kind, field_names, Negation.REFUSED, constants, always=always)


def unprinted(option: Option, *names: str) -> tuple[Option, ...]:
    """The option under other names that are read but never printed."""
    return tuple(
        Option(name, option.kind, option.fields, option.negation, option.constants, printed=False) for name in names
    )
