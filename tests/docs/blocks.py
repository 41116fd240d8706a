"""The JSON that a page gives to paste, for tests that use it as a reader would."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
JSON_BLOCK = re.compile(r"^```json\n(.*?)^```", re.DOTALL | re.MULTILINE)


def json_blocks(page: str) -> list[Any]:
    """Each block of JSON, without a first line such as `PUT _inference/rerank/rerankd`."""
    blocks = JSON_BLOCK.findall((ROOT / page).read_text())
    return [json.loads(re.sub(r"^(GET|POST|PUT) .*\n", "", block)) for block in blocks]
