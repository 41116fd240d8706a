"""A database of MongoDB: calls within a time limit, and reasons of its errors."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
)

from app.errors import LoadFailed, UpstreamFailed, UpstreamTimeout

Raw = RawBSONDocument
NAME = "mongodb"
NAMESPACE_EXISTS = 48
NO_SEARCH = "has no vector search: it needs Atlas, or MongoDB 8.2 with its search process"
LOGIN = "refuses the login: see the URL in RERANKD_STORE"
REASONS: dict[int | None, str] = {
    13: "does not let this user do that",
    18: LOGIN,
    8000: LOGIN,
    59: NO_SEARCH,
    31082: NO_SEARCH,
    40324: NO_SEARCH,
}


def failed(reason: str) -> UpstreamFailed:
    return UpstreamFailed(f"{NAME} {reason}", upstream=NAME)


def reason_of(error: PyMongoError) -> str:
    """The end of a sentence. The server's own text is not used: it may quote what was sent."""
    if isinstance(error, OperationFailure):
        if error.code in REASONS:
            return REASONS[error.code]
        if "dimension" in str(error):
            return "has vectors of another embedder: set that one, or name another collection"
        return f"failed with code {error.code}"
    if isinstance(error, ConnectionFailure):
        return "cannot be reached, or broke the connection"
    return f"failed with {type(error).__name__}"


class Database:
    def __init__(self, url: str, name: str, seconds: float) -> None:
        self._seconds = seconds
        try:
            with warnings.catch_warnings():
                # The driver only warns of an option that it does not know, and ignores it.
                warnings.simplefilter("error", UserWarning)
                self._client: AsyncMongoClient[Raw] = AsyncMongoClient(
                    url,
                    document_class=RawBSONDocument,
                    # A server that is down is an error before the time of a call ends.
                    serverSelectionTimeoutMS=max(1, int(seconds * 500)),
                    appname="rerankd",
                )
            self._database = self._client[name]
        except (PyMongoError, ValueError, UserWarning) as error:
            raise LoadFailed("setting store: mongodb: no valid address or options") from error

    def collection(self, name: str) -> AsyncCollection[Raw]:
        return self._database[name]

    async def create(self, name: str) -> None:
        try:
            await self._database.create_collection(name, check_exists=False)
        except OperationFailure as error:
            if error.code != NAMESPACE_EXISTS:
                raise

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """Around calls of the driver: a time limit, and errors of the house."""
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except (TimeoutError, NetworkTimeout, ExecutionTimeout) as error:
            raise UpstreamTimeout(
                f"{NAME} did not answer within {self._seconds * 1000:.0f} ms", upstream=NAME
            ) from error
        except bson.errors.BSONError as error:
            raise failed("answered or received a document that is not BSON") from error
        except PyMongoError as error:
            raise failed(reason_of(error)) from error

    async def close(self) -> None:
        await self._client.close()
