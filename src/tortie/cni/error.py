"""What a runtime is told when a call fails: the error object of the CNI specification.

Codes below 100 are the specification's (section 5, "Error"); everything else is 100, as Calico's plugin has it.
"""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """Codes of the specification that this plugin uses, and Calico's for all the rest."""

    INCOMPATIBLE_VERSION = 1
    BAD_ENVIRONMENT = 4
    UNREADABLE_CONFIGURATION = 6
    BAD_CONFIGURATION = 7
    TRY_AGAIN = 11
    OTHER = 100


class CniError(Exception):
    """A call that failed: what the runtime is to be told."""

    def __init__(self, message: str, code: ErrorCode = ErrorCode.OTHER, details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details

    def document(self, version: str) -> dict[str, object]:
        """The error object."""
        found: dict[str, object] = {"cniVersion": version, "code": int(self.code), "msg": self.message}
        return found | ({"details": self.details} if self.details else {})
