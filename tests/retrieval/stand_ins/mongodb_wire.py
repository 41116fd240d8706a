"""MongoDB's wire protocol: OP_MSG, and OP_QUERY with OP_REPLY for the first hello of a driver."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import bson
import pytest
from pydantic import ValidationError

from tests.retrieval.stand_ins.serving import Undocumented

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
CHECKSUM = 1
Command = dict[str, Any]


def read_query(body: bytes) -> Command:
    """Flags, the name of a collection, two numbers, and the command."""
    end = body.index(b"\0", 4) + 1 + 8
    command: Command = bson.decode(body[end:])
    return command


def read_message(body: bytes) -> Command:
    """Flags, then sections: the command, and lists of documents that belong to it."""
    (flags,) = struct.unpack_from("<I", body)
    position, end = 4, len(body) - (4 if flags & CHECKSUM else 0)
    command: Command = {}
    while position < end:
        kind = body[position]
        (size,) = struct.unpack_from("<i", body, position + 1)
        section = body[position + 1 : position + 1 + size]
        position += 1 + size
        if kind == 0:
            command |= bson.decode(section)
        else:
            name, _, documents = section[4:].partition(b"\0")
            command[name.decode()] = bson.decode_all(documents)
    return command


def reply_to(opcode: int, request: int, answer: Mapping[str, Any]) -> bytes:
    document = bson.encode(answer)
    if opcode == OP_QUERY:
        body, opcode = struct.pack("<iqii", 8, 0, 0, 1) + document, OP_REPLY
    else:
        body = struct.pack("<IB", 0, 0) + document
    return struct.pack("<iiii", 16 + len(body), 0, request, opcode) + body


@contextmanager
def speaking(answer: Callable[[Command], Mapping[str, Any]]) -> Iterator[int]:
    """Yields the port. At the end the test fails if a command was not documented."""
    complaints: list[str] = []

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            while len(header := self.rfile.read(16)) == 16:
                length, request, _, opcode = struct.unpack("<iiii", header)
                body = self.rfile.read(length - 16)
                command = read_query(body) if opcode == OP_QUERY else read_message(body)
                try:
                    answered = answer(command)
                except (Undocumented, ValidationError) as error:
                    complaints.append(f"{next(iter(command), '')}: {error}")
                    answered = {"ok": 0.0, "code": 9, "errmsg": "undocumented"}
                self.wfile.write(reply_to(opcode, request, answered))

    class Server(ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
    if complaints:
        pytest.fail("\n".join(complaints))
