"""What completes the command line in shells."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from adjourn import cli
from adjourn.cli.completion import SHELLS

COMPLETE = """
source /dev/stdin <<'SCRIPT'
{script}
SCRIPT
COMP_WORDS=({words} '')
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
COMP_WORDS[COMP_CWORD]='{last}'
$(complete -p adjourn | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "last", "found"),
    [
        ("adjourn", "", {"worker", "doctor", "completion", "shell"}),
        ("adjourn", "do", {"doctor"}),
        ("adjourn doctor", "--t", {"--timeout", "--threshold"}),
        ("adjourn completion", "", set(SHELLS)),
    ],
)
def test_bash_completes_commands_and_options(
    words: str, last: str, found: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    program = COMPLETE.format(script=script("bash", capsys), words=words, last=last)
    process = subprocess.run(["bash"], input=program, capture_output=True, text=True, timeout=30, check=True)
    assert found <= set(process.stdout.split()), process.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_can_read_its_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed here")
    subprocess.run([shell, "-n"], input=script(shell, capsys), text=True, timeout=30, check=True)


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["completion", "csh"])
    assert ended.value.code == 2
    assert "choose from" in capsys.readouterr().err
