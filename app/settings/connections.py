"""Settings of the connections that callers open."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Connections(BaseModel):
    max_connections: int = Field(
        0,
        ge=0,
        description="Connections open at a time; beyond it the one that has been idle the longest "
        "is closed; 0: half of the process's descriptors, at most 4096",
    )
    max_header_bytes: int = Field(
        65_536, ge=1024, description="Size of a request line with its headers; more is 431"
    )
    header_seconds: float = Field(
        10,
        gt=0,
        description="Time to the first byte of a connection, and from the first byte of a request "
        "to the end of its headers; more is 408",
    )
    body_idle_seconds: float = Field(
        10, gt=0, description="Time without a byte of a body under way; more is 408"
    )
    body_seconds: float = Field(60, gt=0, description="Time for a whole body; more is 408")
    write_stall_seconds: float = Field(
        30,
        gt=0,
        description="How long a caller may read nothing of an answer before its connection is "
        "closed",
    )
    keep_alive_seconds: float = Field(
        75,
        gt=0,
        description="How long a connection is kept for a next request; longer than the balancer "
        "in front keeps it, which is often 60",
    )
    max_unread_mb: int = Field(
        256,
        ge=1,
        description="Memory for answers that callers have not read yet; beyond it the connection "
        "that has read nothing for the longest time is closed",
    )
