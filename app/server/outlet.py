"""The transport that a connection writes to. It buffers answers without a copy and counts them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

PIECE_BYTES = 65_536
# SO_LINGER, enabled with a timeout of 0: closing sends a reset.
RESET = struct.pack("ii", 1, 0)


class Outlet(asyncio.Transport):
    """Passes a large answer to the real transport in pieces.

    asyncio copies the bytes that the kernel does not accept at once into its own buffer. This
    class keeps a reference to the object that the application made instead, so nothing is copied,
    and the request can end before the client has read the answer.
    """

    def __init__(self, transport: asyncio.Transport, on_unread: Callable[[], None]) -> None:
        super().__init__()
        self._transport = transport
        self._on_unread = on_unread
        self._waiting: deque[memoryview] = deque()
        self._offset = 0  # bytes of the first answer that were handed over
        self._held = 0  # bytes of whole answers, including parts already handed over
        self._handed_over = 0
        self._full = False  # the real transport requested a pause
        self._end: Callable[[], None] | None = None
        # The client may still be sending: closing at once would reset the connection.
        self.linger = False

    # Unread bytes

    @property
    def unread(self) -> int:
        """Bytes in memory that the kernel has not accepted yet."""
        return self._held + self._transport.get_write_buffer_size()

    @property
    def flushed(self) -> int:
        """Bytes that the kernel has accepted since the connection was opened."""
        return self._handed_over - self._transport.get_write_buffer_size()

    def get_write_buffer_size(self) -> int:
        return self.unread

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._end is not None:
            return
        if self._waiting or len(data) > PIECE_BYTES:
            self._waiting.append(memoryview(data))
            self._held += len(data)
            self._hand_over()
        else:
            self._handed_over += len(data)
            self._transport.write(data)
        if self._waiting or self._transport.get_write_buffer_size():
            self._on_unread()

    def pause(self) -> None:
        self._full = True

    def resume(self) -> bool:
        """Continue to write. Return whether the real transport accepts more after that."""
        self._full = False
        self._hand_over()
        return not self._full

    def _hand_over(self) -> None:
        while self._waiting and not self._full:
            answer = self._waiting[0]
            piece = answer[self._offset : self._offset + PIECE_BYTES]
            self._offset += len(piece)
            if self._offset >= len(answer):
                self._waiting.popleft()
                self._held -= len(answer)
                self._offset = 0
            self._handed_over += len(piece)
            self._transport.write(piece)  # may call `pause`
        if self._end is not None and not self._waiting:
            # Deferred: the real transport calls this method while it writes, and would close twice.
            asyncio.get_running_loop().call_soon(self._end)

    # Closing

    def is_closing(self) -> bool:
        return self._end is not None or self._transport.is_closing()

    def close(self) -> None:
        """Close after everything is written. With `linger`, close only the sending direction: the
        server still reads and discards the rest of the request, because a reset could reach the
        client before the answer."""
        self._end = self._half_close if self.linger else self._transport.close
        if not self._waiting:
            self._end()

    def _half_close(self) -> None:
        try:
            self._transport.write_eof()
        except OSError:  # the client has reset the connection
            self._transport.abort()

    def close_now(self) -> None:
        self.forget()
        self._transport.close()

    def abort(self) -> None:
        """Reset the connection, so that the kernel also frees its buffers."""
        self.forget()
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()

    def forget(self) -> None:
        self._end = self._transport.close
        self._waiting.clear()
        self._held = self._offset = 0

    # Delegated to the real transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def is_reading(self) -> bool:
        return self._transport.is_reading()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()
