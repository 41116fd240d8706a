"""What a connection writes through: answers wait here once, in pieces, and are counted."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

PIECE_BYTES = 65_536
# SO_LINGER: on, with no time.
RESET = struct.pack("ii", 1, 0)


class Outlet(asyncio.Transport):
    """A transport that hands a large answer to the real one piece by piece.

    asyncio copies whatever the kernel does not take at once into a buffer of its own. Here the
    rest stays the object that the application made, and the request that made it can end.
    """

    def __init__(self, transport: asyncio.Transport, on_unread: Callable[[], None]) -> None:
        super().__init__()
        self._transport = transport
        self._on_unread = on_unread
        self._waiting: deque[memoryview] = deque()
        self._offset = 0  # how much of the first one has been handed over
        self._held = 0  # whole answers, also those that are mostly handed over
        self._handed_over = 0
        self._full = False  # the real transport asked for a pause
        self._end: Callable[[], None] | None = None
        self.linger = False  # more of the request may be on its way: closing at once would reset

    # What waits to be read

    @property
    def unread(self) -> int:
        """Bytes in memory, not yet with the kernel."""
        return self._held + self._transport.get_write_buffer_size()

    @property
    def flushed(self) -> int:
        """Bytes that the kernel has taken since the connection was opened."""
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
        """The real transport has room; True if there is still some when all was handed over."""
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
            # Not at once: the real transport calls this while it writes, and would close twice.
            asyncio.get_running_loop().call_soon(self._end)

    # Its end

    def is_closing(self) -> bool:
        return self._end is not None or self._transport.is_closing()

    def close(self) -> None:
        """Close when all is written. With `linger` only our half: the rest of the request is
        still read and discarded, so that no reset overtakes the answer."""
        self._end = self._half_close if self.linger else self._transport.close
        if not self._waiting:
            self._end()

    def _half_close(self) -> None:
        try:
            self._transport.write_eof()
        except OSError:  # the caller has reset the connection
            self._transport.abort()

    def close_now(self) -> None:
        self.forget()
        self._transport.close()

    def abort(self) -> None:
        """Reset: what the kernel has buffered is freed as well."""
        self.forget()
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()

    def forget(self) -> None:
        self._end = self._transport.close
        self._waiting.clear()
        self._held = self._offset = 0

    # Passed on

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def is_reading(self) -> bool:
        return self._transport.is_reading()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()
