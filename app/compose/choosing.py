"""The engine of a model is chosen in another process, at low priority, while this one serves."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from typing import cast

from app.engines.backend import MAX_REASON_CHARS
from app.engines.child import STEP
from app.engines.spec import ModelSpec

logger = logging.getLogger(__name__)


async def choose_engine(spec: ModelSpec) -> bool:
    """Whether it succeeded: then the converted model and the figures are where the spec says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.engines.child", spec.to_json()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    last = ""
    try:
        async for line in cast("asyncio.StreamReader", process.stdout):
            last = line.decode(errors="replace").strip() or last
            if last.startswith(STEP):
                fields = {"step": last.removeprefix(STEP)}
                logger.info("choosing_engine", extra={"fields": fields})
        status = await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if status:
        failure = {"status": status, "reason": last[:MAX_REASON_CHARS]}
        logger.warning("engine_not_chosen", extra={"fields": failure})
    return status == 0
