"""Opens the listening socket, and closes it so that no established connection is lost."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import select
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress

logger = logging.getLogger(__name__)

BACKLOG = 2048
# Longer than a round trip: handshakes that have begun end in it, and first requests arrive.
CLOSING_SECONDS = 0.1
MAX_ACCEPT_TURNS = 1000

# Linux; the socket module has no name for it.
SO_ATTACH_FILTER = 26
TCP_FLAGS_OFFSET, SYN, WHOLE_PACKET = 13, 0x02, 0xFFFFFFFF
LOAD_BYTE, JUMP_IF_SET, RETURN = 0x30, 0x45, 0x06
# A classic BPF program: operation, jump if true, jump if false, operand.
WITHOUT_SYN = (
    (LOAD_BYTE, 0, 0, TCP_FLAGS_OFFSET),
    (JUMP_IF_SET, 1, 0, SYN),
    (RETURN, 0, 0, WHOLE_PACKET),
    (RETURN, 0, 0, 0),
)


class CannotListen(Exception):
    """The address is in use or does not belong to this machine."""


def listen(host: str, port: int) -> socket.socket:
    """Open the socket. Call this before loading, so that a port in use is reported at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # Connections inherit this option; asyncio sets it only on sockets that it creates. Without
        # it, the second write of an answer waits 40 ms until the client acknowledges the first.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}") from error
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    logger.info("listening", extra={"fields": {"url": url}})
    return listener


async def stop_listening(
    servers: Sequence[asyncio.Server], listeners: Sequence[socket.socket]
) -> None:
    """Refuse further connections, but serve each connection that a client has established.

    The kernel establishes connections before the process accepts them, and closing the socket
    resets those that wait. So no handshake may begin first; then the waiting connections are
    accepted; then the socket is closed. A client whose handshake was ignored tries again after a
    second by itself, is refused then, and has sent nothing that could be lost.
    """
    for listener in listeners:
        ignore_handshakes(listener)
    await asyncio.sleep(CLOSING_SECONDS)
    turns = 0
    while turns < MAX_ACCEPT_TURNS and has_waiting_connections(listeners):
        await asyncio.sleep(0)  # the loop accepts some of them in each turn
        turns += 1
    for server in servers:
        server.close()
    for listener in listeners:
        listener.close()


def ignore_handshakes(listener: socket.socket) -> None:
    """Where the kernel cannot do it, connections of the last microseconds are reset."""
    if sys.platform != "linux":
        return
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in WITHOUT_SYN)
    memory = ctypes.create_string_buffer(program, len(program))
    argument = struct.pack("@HP", len(WITHOUT_SYN), ctypes.addressof(memory))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, argument)


def has_waiting_connections(listeners: Sequence[socket.socket]) -> bool:
    poll = select.poll()
    for listener in listeners:
        poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))
