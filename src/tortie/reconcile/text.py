"""Steps as the text that `iptables-restore --noflush` and `ipset restore` read.

A table is one block between its name and COMMIT. Commands on members carry `-exist`, so that a repeated pass is no error;
commands on sets do not, so that a set that is not what the plan took it for is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import assert_never

from tortie.codec.ipset import format_ipset_entry, format_ipset_save
from tortie.codec.rule import RuleWriter
from tortie.net.address import IPFamily
from tortie.netfilter.rule import Rule
from tortie.reconcile.step import (
    AddMember,
    AppendRule,
    CreateSet,
    DeleteChain,
    DeleteMember,
    DeletePlace,
    DeleteRule,
    DestroySet,
    Edit,
    InsertRule,
    MakeChain,
    ReplaceRule,
    SetCommand,
    SetEdit,
    Step,
    SwapSets,
    TableEdit,
)


def format_restore(edit: TableEdit, writer: RuleWriter | None = None) -> str:
    """The input of iptables-restore for one table; what is not mentioned in it stays (`--noflush`)."""
    lines = list(restore_lines(edit, writer))
    lines.append("")
    return "\n".join(lines)


def restore_lines(edit: TableEdit, writer: RuleWriter | None = None) -> Iterator[str]:
    """The lines of `format_restore`; a writer that knows the family's rules already saves time."""
    writer = writer or RuleWriter(edit.family)
    yield f"*{edit.table.value}"
    write = writer.write
    for one in edit.edits:
        if type(one) is AppendRule:  # nearly all of them, where there are many
            yield f"-A {one.chain} {write(one.rule)}" if one.rule.matches or one.rule.target else f"-A {one.chain}"
        else:
            yield _edit_line(one, writer)
    yield "COMMIT"


def _edit_line(edit: Edit, writer: RuleWriter) -> str:
    match edit:
        case MakeChain(chain):
            return f":{chain} - -"
        case AppendRule(chain, rule):
            return _with_rule(f"-A {chain}", rule, writer)
        case InsertRule(chain, place, rule):
            return _with_rule(f"-I {chain} {place}", rule, writer)
        case ReplaceRule(chain, place, rule):
            return _with_rule(f"-R {chain} {place}", rule, writer)
        case DeletePlace(chain, place, _):
            return f"-D {chain} {place}"
        case DeleteRule(chain, rule):
            return _with_rule(f"-D {chain}", rule, writer)
        case DeleteChain(chain):
            return f"-X {chain}"
        case _:
            assert_never(edit)


def _with_rule(command: str, rule: Rule, writer: RuleWriter) -> str:
    text = writer.write(rule)
    return f"{command} {text}" if text else command


def telling_edit(edit: TableEdit) -> Edit | None:
    """The part by whose trace it is seen whether all was made, since a table is changed whole; None if nothing shows."""
    gone = {one.chain for one in edit.edits if isinstance(one, DeleteChain)}
    return next((one for one in edit.edits if not (isinstance(one, MakeChain) and one.chain in gone)), None)


def shows(edit: Edit, family: IPFamily, listed: str | None) -> bool:
    """Whether the edit's chain, as `iptables -S` prints it (None: no such chain), shows that the edit was made."""
    lines = (listed or "").splitlines()
    match edit:
        case AppendRule(chain, rule) | InsertRule(chain, _, rule) | ReplaceRule(chain, _, rule):
            return _with_rule(f"-A {chain}", rule, RuleWriter(family)) in lines
        case DeletePlace(chain, _, rule) | DeleteRule(chain, rule):
            return _with_rule(f"-A {chain}", rule, RuleWriter(family)) not in lines
        case DeleteChain():
            return listed is None
        case MakeChain():
            return listed is not None
        case _:
            assert_never(edit)


def format_ipset_restore(edit: SetEdit) -> str:
    """The input of ipset restore, a line a command."""
    return "".join(f"{ipset_line(command)}\n" for command in edit.commands)


def ipset_line(command: SetCommand) -> str:
    """One command as a line of ipset restore."""
    match command:
        case CreateSet(one):
            return format_ipset_save({one.name: replace(one, entries=(), unread=())}).rstrip("\n")
        case AddMember(name, entry):
            return f"add {name} {format_ipset_entry(entry)} -exist"
        case DeleteMember(name, entry):
            return f"del {name} {format_ipset_entry(entry)} -exist"
        case SwapSets(name, other):
            return f"swap {name} {other}"
        case DestroySet(name):
            return f"destroy {name}"
        case _:
            assert_never(command)


def describe_step(step: Step) -> str:
    """A step in a line: `IPv4 filter (nft): -D FORWARD …`, with how much more there is of it."""
    if isinstance(step, SetEdit):
        lines, place = [ipset_line(command) for command in step.commands], "ipset"
    else:
        lines = list(restore_lines(step))[1:-1]
        place = f"IPv{step.family.value} {step.table.value} ({step.backend.value})"
    more = f", and {len(lines) - 1} more" if len(lines) > 1 else ""
    return f"{place}: {lines[0]}{more}"
