"""The `rerankd` command. A subcommand is imported only when it is used: help stays fast."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from app import __version__


class Command(NamedTuple):
    module: str  # offers `configure(parser)` and `run(arguments) -> exit code`
    help: str


COMMANDS = {
    "serve": Command("app.commands.serve", "start the HTTP service"),
    "rerank": Command("app.commands.rerank", "rank candidates in the terminal, without a service"),
    "batch": Command("app.commands.batch", "rank all rows of a file"),
    "mcp": Command("app.commands.mcp", "offer reranking and answers to agents as MCP tools"),
    "optimize": Command("app.commands.optimize", "convert a model for this CPU in advance"),
    "ingest": Command("app.commands.ingest", "write files to a store, and keep it up to date"),
    "eval": Command("app.commands.eval", "measure whether reranking helps on your data"),
    "sweep": Command("app.commands.sweep", "compare models, initial_k and final_k on your data"),
    "drift": Command("app.commands.drift", "compare the scores and answers of two periods"),
    "finetune": Command("app.commands.finetune", "train a model further on your labelled pairs"),
    "calibrate": Command(
        "app.commands.calibrate", "fit calibrated probabilities on your labelled data"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser("rerankd", description="A self-hosted reranking service.")
    parser.add_argument("--version", action="version", version=f"rerankd {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.help, description=command.help)
        if words[:1] == [name]:
            importlib.import_module(command.module).configure(subparser)
    arguments = parser.parse_args(words)
    module = importlib.import_module(COMMANDS[arguments.command].module)
    return int(module.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
