"""Says on stderr which rank was killed. Runs beside the ranks of one machine, as a script.

When a rank dies, MPICH's launcher kills the others within milliseconds, before they can say a word,
and names a process that need not be the one that died. A process in a session of its own outlives
that. The first rank of a machine starts it; it waits for the ranks' ends in the order in which they
happen, and writes one line when one ends without farewell.

    python witness.py <file descriptor of a datagram socket> <rank>:<process>:<host> ...

A rank that ends in good order sends its number to the socket first.
"""

from __future__ import annotations

import os
import select
import socket
import sys


def main(descriptor: int, ranks: dict[int, tuple[int, str]]) -> str:
    """Wait until all ranks have left; return what to say of the first that did not, or nothing."""
    farewells = socket.socket(fileno=descriptor)
    farewells.setblocking(False)
    events = select.epoll()  # reports what ended first first
    events.register(farewells, select.EPOLLIN)
    watched: dict[int, int] = {}
    gone = None
    for rank, (process, _) in ranks.items():
        try:
            watched[os.pidfd_open(process)] = rank
        except ProcessLookupError:
            gone = rank
        except (AttributeError, OSError):  # before Linux 5.3
            return ""
    for descriptor in watched:
        events.register(descriptor, select.EPOLLIN)
    present = set(ranks)
    while present:
        if gone is None:
            ((descriptor, _),) = events.poll(maxevents=1)
            gone = watched.get(descriptor)
        try:
            while True:
                present.discard(int(farewells.recv(32)))
        except BlockingIOError:
            pass
        if gone in present:
            process, host = ranks[gone]
            return f"rank {gone} (process {process} on {host}) was killed or crashed"
        if gone is not None and descriptor in watched:
            events.unregister(descriptor)
        gone = None
    return ""


if __name__ == "__main__":
    processes = (word.split(":", 2) for word in sys.argv[2:])
    message = main(int(sys.argv[1]), {int(r): (int(p), host) for r, p, host in processes})
    if message:
        os.write(2, f"numpygeons: {message}: the run ends\n".encode())
