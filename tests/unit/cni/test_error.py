"""The error object (CNI specification, section 5)."""

from __future__ import annotations

from tortie.cni.error import CniError, ErrorCode


def test_an_error_object() -> None:
    error = CniError("no", ErrorCode.TRY_AGAIN, "why")
    assert error.document("0.4.0") == {"cniVersion": "0.4.0", "code": 11, "msg": "no", "details": "why"}


def test_details_only_where_there_are_any() -> None:
    assert CniError("no").document("0.4.0") == {"cniVersion": "0.4.0", "code": 100, "msg": "no"}
