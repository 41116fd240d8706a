"""The service, first come first served: what `mixed` compares the due times with.

    python -m loadtest.fifo serve ...

The same program but for two numbers: a job is due when it arrives, whatever its size.
"""

from __future__ import annotations

import sys

from app import cli
from app.rerank import admission


def serve_in_order_of_arrival() -> None:
    admission.HEAD_START = admission.STRETCH = 0.0


if __name__ == "__main__":
    serve_in_order_of_arrival()
    sys.exit(cli.main())
