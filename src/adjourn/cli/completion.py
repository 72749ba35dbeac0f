"""``adjourn completion``: what completes the command line in a shell."""

from __future__ import annotations

import argparse
import sys
from importlib import resources
from typing import Any

from adjourn.cli import flags

HELP = "print what completes this command line in your shell"
SHELLS = ("bash", "zsh", "fish")


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser(
        "completion",
        help=HELP,
        description="Print the script that completes commands and options in a shell. It needs no app and no database, and runs nothing of "
        "yours at a press of Tab.\n\n"
        "bash: mkdir -p ~/.local/share/bash-completion/completions\n"
        "  adjourn completion bash > ~/.local/share/bash-completion/completions/adjourn\n"
        "  zsh: mkdir -p ~/.zfunc && adjourn completion zsh > ~/.zfunc/_adjourn\n"
        "  in ~/.zshrc, in this order: fpath+=~/.zfunc; autoload -Uz compinit; compinit\n"
        "  fish: mkdir -p ~/.config/fish/completions\n"
        "  adjourn completion fish > ~/.config/fish/completions/adjourn.fish\n\n"
        "A shell that is started after that has it.",
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Print the script of a shell."""
    sys.stdout.write(
        resources.files("adjourn.cli").joinpath("completions", f"adjourn.{options.shell}").read_text("utf-8")
    )
    return 0
