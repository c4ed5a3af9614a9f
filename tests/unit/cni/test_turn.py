"""Calls about one interface take turns; those about others do not wait."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tortie.cni.error import CniError, ErrorCode
from tortie.cni.turn import LONGEST_WAIT_S, turn_for

NAME = f"cali{os.getpid()}"


def _never(seconds: float) -> None:
    pytest.fail(f"waited {seconds} s")


def test_a_free_interface_is_not_waited_for() -> None:
    for _ in range(2):
        with turn_for(NAME, _never), turn_for(f"{NAME}x", _never):
            pass


def test_another_call_is_waited_for_until_it_ends() -> None:
    waits: list[float] = []
    other = turn_for(NAME)
    other.__enter__()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            other.__exit__(None, None, None)

    with turn_for(NAME, sleep):
        assert len(waits) == 3


def test_a_call_that_does_not_end_is_told_of() -> None:
    waits: list[float] = []
    message = f"another call about {NAME} does not end"
    with turn_for(NAME), pytest.raises(CniError, match=message) as caught, turn_for(NAME, waits.append):
        pytest.fail("two at once")
    assert caught.value.code is ErrorCode.TRY_AGAIN
    assert sum(waits) == pytest.approx(LONGEST_WAIT_S)


def test_a_process_that_is_killed_is_not_waited_for() -> None:
    program = f"from tortie.cni.turn import turn_for\nwith turn_for({NAME!r}):\n    print(flush=True)\n    input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.wait()
    with turn_for(NAME, _never):
        pass
