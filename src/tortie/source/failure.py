"""What the datastore, or the way to it, answers instead of what was asked.

One class: a source waits and tries again whatever it was, a command shows the words. `unauthorized` is for who words the
error as calicoctl does, `uncertain` for who must know whether a write may have happened all the same.
"""

from __future__ import annotations


class DatastoreFailed(Exception):
    """The datastore cannot be reached, or does not do what it was asked.

    `unauthorized` when it does not let us; `uncertain` when a write was sent and nobody knows what became of it;
    `retry_after_s` is how long it wants to be left alone, in seconds.
    """

    def __init__(
        self, reason: str, *, unauthorized: bool = False, uncertain: bool = False, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.unauthorized = unauthorized
        self.uncertain = uncertain
        self.retry_after_s = retry_after_s


class HistoryGone(Exception):
    """The datastore no longer has the state that was asked for: etcd compacted it, Kubernetes answers 410 Gone."""
