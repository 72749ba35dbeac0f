"""The bench's command line."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from torture.exceptions import NotRun
from torture.report import FLOW_HEAD, details, flow_row, recovered, row, table, write
from torture.scenarios import SCENARIOS
from torture.trial import Outcome, Trial


def main() -> int:
    """Run scenarios, print the table, and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(
        prog="scripts/torture", description="Disturbs workers and servers under load, and checks."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which scenarios to run; all of them by default")
    parser.add_argument("--list", action="store_true", help="say which scenarios there are, and end")
    parser.add_argument("--seconds", type=float, help="how long to disturb, in each scenario")
    parser.add_argument("--seed", type=int, help="what chance is made of; a new one by default")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave ledgers and logs of all scenarios there")
    parser.add_argument("--write", action="store_true", help="write the rows into the page of the documentation")
    arguments = parser.parse_args()
    if arguments.list:
        for name, each in SCENARIOS.items():
            print(f"{name}: {each.told}")
        return 0
    if unknown := [name for name in arguments.names if name not in SCENARIOS]:
        parser.error(f"there is no scenario {unknown[0]!r}: see --list")
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    # Servers and workers are to end with the bench, also where it is started in the background, which ignores SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    outcomes: dict[str, Outcome | Exception] = {}
    for name in arguments.names or SCENARIOS:
        outcomes[name] = run(name, arguments.seconds, seed, arguments.keep)
    print(f"\n{table({name: row(outcome) for name, outcome in outcomes.items()})}")
    print(f"\n{table({name: flow_row(outcome) for name, outcome in outcomes.items()}, FLOW_HEAD)}")
    if arguments.write:
        write(outcomes)
    return int(
        not all(isinstance(each, NotRun) or (isinstance(each, Outcome) and each.is_clean) for each in outcomes.values())
    )


def run(name: str, seconds: float | None, seed: int, keep: Path | None) -> Outcome | Exception:
    """Run one scenario, say what was wrong, and return what came of it, or why it did not run."""
    chosen = SCENARIOS[name]
    directory = Path(tempfile.mkdtemp(prefix="adjourn-torture-"))
    # Servers run as another user than root.
    directory.chmod(0o755)
    began = time.monotonic()
    trial = Trial(directory, seconds or chosen.seconds, seed)
    try:
        chosen.run(trial)
        outcome = trial.finish()
    except NotRun as reason:
        print(f"{name}: not run: {reason}", flush=True)
        return reason
    except Exception as error:  # the other scenarios can run nevertheless
        traceback.print_exc()
        return error
    finally:
        if keep is not None:
            shutil.copytree(
                directory,
                keep / name.replace(" ", "-"),
                ignore=shutil.ignore_patterns("data", ".s.PGSQL*"),
                dirs_exist_ok=True,
            )
        shutil.rmtree(directory, ignore_errors=True)
    verdict = "clean" if outcome.is_clean else f"{outcome.verdict.total} faults"
    print(f"{name}: {verdict}, {time.monotonic() - began:.0f} s, {json.dumps(outcome.figures)}", flush=True)
    if outcome.recoveries:
        print(f"  {recovered(outcome)}", flush=True)
    if not outcome.is_clean:
        print(details(outcome), flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
