"""Settings of the connections that callers open."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Connections(BaseModel):
    max_connections: int = Field(
        0,
        ge=0,
        description="Maximum open connections; above it, the one that has been idle for the "
        "longest time is closed; 0: half of the process's file descriptors, at most 4096",
    )
    max_header_bytes: int = Field(
        65_536,
        ge=1024,
        description="Maximum size of a request line with its headers, in bytes; above it: 431",
    )
    header_seconds: float = Field(
        10,
        gt=0,
        description="Time limit from the opening of a connection to its first byte, and from the "
        "first byte of a request to the end of its headers, in seconds; above it: 408",
    )
    body_idle_seconds: float = Field(
        10,
        gt=0,
        description="Time limit between two parts of a request body, in seconds; above it: 408",
    )
    body_seconds: float = Field(
        60, gt=0, description="Time limit for a whole request body, in seconds; above it: 408"
    )
    write_stall_seconds: float = Field(
        30,
        gt=0,
        description="Time limit for a caller that reads nothing of its response, in seconds; above "
        "it, the connection is closed",
    )
    keep_alive_seconds: float = Field(
        75,
        gt=0,
        description="Time that an idle connection stays open for the next request, in seconds; set "
        "it higher than in a load balancer in front, which often uses 60",
    )
    max_unread_mb: int = Field(
        256,
        ge=1,
        description="Maximum memory for responses that callers have not read yet, in MiB; above "
        "it, the connection that has read nothing for the longest time is closed",
    )
