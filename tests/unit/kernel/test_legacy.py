"""Sizes of legacy tables where there is nothing to ask; the kernel's own answers are tests/kernel/test_watch.py's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tortie.kernel import legacy
from tortie.net.address import IPFamily


@pytest.mark.parametrize("listed", [None, "", "nat\n"], ids=["no module", "no tables", "another table"])
def test_tables_that_are_not_there_are_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str | None
) -> None:
    path = tmp_path / "names"
    if listed is not None:
        path.write_text(listed)
    monkeypatch.setitem(legacy._LISTS, IPFamily.V4, str(path))
    assert legacy.table_sizes(IPFamily.V4, ["filter"]) == {}
