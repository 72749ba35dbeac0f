"""What completes the command line in shells."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

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


LINES = pytest.mark.parametrize(
    ("words", "last", "found"),
    [
        ("adjourn", "", {"worker", "doctor", "completion", "shell"}),
        ("adjourn", "do", {"doctor"}),
        ("adjourn doctor", "--t", {"--timeout", "--threshold"}),
        ("adjourn completion", "", set(SHELLS)),
        ("adjourn worker --concurrency 3", "--shutdown", {"--shutdown-graceful-timeout"}),
        ("adjourn doctor", "--no-such", set()),
    ],
)


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not shutil.which(shell),
        reason=f"{shell} is not installed here (Debian and Ubuntu have it in the package {shell})",
    )


@LINES
def test_bash_completes_commands_and_options(
    words: str, last: str, found: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    program = COMPLETE.format(script=script("bash", capsys), words=words, last=last)
    process = subprocess.run(["bash"], input=program, capture_output=True, text=True, timeout=30, check=True)
    assert found <= set(process.stdout.split()), process.stderr


@needs("fish")
@LINES
def test_fish_completes_commands_and_options(
    words: str, last: str, found: set[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # Where the page says that it belongs.
    place = tmp_path / ".config" / "fish" / "completions" / "adjourn.fish"
    place.parent.mkdir(parents=True)
    place.write_text(script("fish", capsys), "utf-8")
    process = subprocess.run(
        ["fish", "--command", f"complete --do-complete '{words} {last}'"],
        # It looks for the file only if there is such a command.
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert process.stderr == ""
    completed = {line.partition("\t")[0] for line in process.stdout.splitlines()}
    assert found <= completed
    assert all(each.startswith(last) for each in completed)
    assert bool(found) == bool(completed)


class Terminal:
    """A shell on a terminal, which completes only for people."""

    def __init__(self, command: list[str], home: Path) -> None:
        self._file, theirs = pty.openpty()
        self._process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm", "COLUMNS": "200"},
            cwd=home,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def write(self, text: str) -> None:
        """Type something, after which only what is shown from then on counts."""
        self.shown = ""
        os.write(self._file, text.encode())

    def read_until(self, pattern: str) -> str:
        """Read what is shown until a pattern is found in it, and return all of it."""
        deadline = time.monotonic() + 30
        while not re.search(pattern, self.shown):
            ready, _, _ = select.select([self._file], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no {pattern!r} in {self.shown!r}"
            text = os.read(self._file, 65536).decode(errors="replace")
            self.shown += re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>])", "", text).replace("\a", "")
        return self.shown

    def close(self) -> None:
        """End the shell."""
        self._process.kill()
        self._process.wait()
        os.close(self._file)


@pytest.fixture
def zsh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """A zsh that was set up as the page says."""
    (tmp_path / ".zfunc").mkdir()
    (tmp_path / ".zfunc" / "_adjourn").write_text(script("zsh", capsys), "utf-8")
    (tmp_path / ".zshrc").write_text(
        "PROMPT='ready> '\nunsetopt zle_bracketed_paste prompt_sp\nLISTMAX=1000\nfpath+=~/.zfunc\nautoload -Uz compinit\ncompinit -u\n"
    )
    terminal = Terminal(["zsh", "--no-globalrcs", "-i"], tmp_path)
    try:
        terminal.read_until("ready> ")
        yield terminal
    finally:
        terminal.close()


@needs("zsh")
@LINES
def test_zsh_completes_commands_and_options(words: str, last: str, found: set[str], zsh: Terminal) -> None:
    zsh.write(f"{words} {last}\t")
    if not found:
        # Nothing is added to what was typed: the next character follows it.
        zsh.write("#")
        assert zsh.read_until("#").split()[-1].endswith(f"{last}#")
    elif len(found) == 1:
        (only,) = found
        zsh.read_until(rf"{only} ?")
    else:
        zsh.write("\t")
        zsh.read_until("".join(rf"(?=[\s\S]*{re.escape(each)}\s)" for each in found))


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


def home_after(commands: str, home: Path) -> Path:
    """Run commands of a shell with an empty home, and return the script that they have stored."""
    program = shlex.join([sys.executable, "-m", "adjourn", "completion"])
    text = commands.replace("adjourn completion", program)
    subprocess.run(["bash", "-ec", text], env={**os.environ, "HOME": str(home)}, check=True)
    (stored,) = (path for path in home.rglob("*adjourn*") if path.is_file())
    return stored


@pytest.mark.parametrize("shell", SHELLS)
def test_the_commands_of_the_help_put_the_script_into_an_empty_home(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "adjourn", "completion", "--help"],
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (part,) = re.findall(rf"^ *{shell}: ((?:.*\n)+?)(?=\n|^ *\w+: )", told, re.MULTILINE)
    commands = "\n".join(line.strip() for line in part.splitlines() if ".zshrc" not in line)
    assert home_after(commands, tmp_path).read_text("utf-8") == script(shell, capsys)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_commands_of_the_page_do_so_too(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "shell-completion.md"
    (block,) = re.findall(
        rf"^In {shell}:\n\n<!--[^\n]*-->\n```console\n(.*?)```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert home_after(block.replace("$ ", ""), tmp_path).read_text("utf-8") == script(shell, capsys)
