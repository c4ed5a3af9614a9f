"""One call at a time about one interface: a runtime may still be deleting a pod's old container when it adds the new one.

Both make and remove the interface of the same name, and the endpoint of the same pod. The turn is a name in the abstract
namespace of Unix sockets, which is the node's own (unix(7), network_namespaces(7)), leaves nothing on disk, and is free
again when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tortie.cni.error import CniError, ErrorCode

LONGEST_WAIT_S = 60.0
_TURN_S = 0.05


@contextmanager
def turn_for(interface: str, sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Waits until no other call is about an interface, and keeps others off meanwhile.

    Raises `CniError` after `LONGEST_WAIT_S`.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        for _ in range(int(LONGEST_WAIT_S / _TURN_S)):
            try:
                held.bind(f"\0tortie-cni/{interface}")
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            sleep(_TURN_S)
        else:
            raise CniError(f"another call about {interface} does not end", ErrorCode.TRY_AGAIN)
        yield
