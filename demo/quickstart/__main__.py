"""`python -m demo.quickstart`: from nothing to a model that sees and hears, and a page that shows what it can do.

Every step leaves its results in the output folder and is not done again, so an interrupted run goes on where it was.
"""

import argparse
import hashlib
import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from omni import starter
from omni.runtime.folder_lock import hold_folder

if TYPE_CHECKING:
    from demo.quickstart.plan import Plan, Training

RUN = "runs/quickstart"
console = Console(highlight=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, 1 for a failure, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m demo.quickstart", description=__doc__)
    parser.add_argument(
        "--output",
        type=Path,
        help=f"folder of everything it makes (default: {RUN}, with --data {RUN}-NAME after that folder's name)",
    )
    parser.add_argument("--data", metavar="FOLDER", help="your own files and captions instead of the starter data")
    parser.add_argument("--seed", type=int, default=0, help="of training and evaluation (default: 0)")
    options = parser.parse_args(arguments)
    # Threads that wait by spinning slow each other down by an order of magnitude when anything else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        output = options.output or default_output(options.data)
        with hold_folder(output, "Wait until it ends, or choose another --output"):
            run(output, options.data, options.seed)
    except KeyboardInterrupt:
        console.print("\nstopped; the same command goes on from here")
        return 130
    except subprocess.CalledProcessError as error:
        console.print("the step above did not end well; the same command tries it again")
        return 130 if error.returncode in (130, 143, -signal.SIGINT) else 1
    except (ValueError, OSError, starter.FetchError) as error:
        console.print(f"error: {error}")
        return 1
    return 0


def default_output(data: str | None) -> Path:
    """Return the folder of a run, one for each folder of data; the Makefile names it in the same way."""
    return Path(f"{RUN}-{data.rstrip('/').rpartition('/')[2].replace(' ', '_')}" if data else RUN)


def run(output: Path, data: str | None, seed: int) -> None:
    """Take all steps.

    Raises:
        subprocess.CalledProcessError: training failed (it has said why).
        ValueError, OSError: something else did.
    """
    # Imported late: the readers of media take seconds, and mistakes in the arguments should show at once.
    from demo.quickstart.plan import folder_plan, starter_plan

    if data is None:
        step(1, "Fetching starter weights and data")
        starter.fetch(list(starter.GROUPS["quickstart"]))
        plan = starter_plan()
    else:
        step(1, f"Reading {data} and fetching starter weights")
        plan = folder_plan(data, output / "data")
        starter.fetch(list(plan.assets))
    folders: dict[str, Path] = {}
    for training in plan.trainings:
        step(2, f"Training the {training.modality} adapter in front of the frozen LLM")
        folders[training.modality] = train(training, output / training.modality, seed)
    finish(plan, folders, output, seed)
    console.print(f"\nChat with it: {chat_command(output, data)}", markup=False)


def chat_command(output: Path, data: str | None) -> str:
    """Return the command that opens the chat page on the model of a run."""
    command = f"python -m demo --model {shlex.quote(str(output / 'model'))}"
    if output != default_output(data):
        return command
    return f"make demo{f' DATA={shlex.quote(data)}' if data else ''}   (or: {command})"


def train(training: "Training", output: Path, seed: int) -> Path:
    """Train an adapter in a process of its own, unless that is done; return the model's folder."""
    overrides = {"train.output_dir": str(output), "train.seed": seed, **training.overrides}
    words = [word for key, value in overrides.items() for word in (f"--{key}", json.dumps(value))]
    content = training.recipe.read_bytes() + json.dumps(words).encode() + _manifest_bytes(training.overrides)
    digest = hashlib.sha256(content).hexdigest()[:16]
    done, begun = output / f"done-{digest}", output / f"begun-{digest}"
    if done.exists() and (output / "best" / "config.yaml").exists():
        console.print(f"  done before: {output / 'best'}")
        return output / "best"
    if not begun.exists():  # nothing there, or a run with other settings or data, which cannot be continued
        _set_aside(output)
        output.mkdir(parents=True, exist_ok=True)
        begun.touch()
    started = time.time()
    command = [sys.executable, "-m", "train", str(training.recipe), *words]
    run_to_end(command)
    done.write_text(f"{time.time() - started:.0f} seconds\n")
    return output / "best"


def _set_aside(output: Path) -> None:
    """Rename the folder of an earlier run: it may have taken long, so it is the user who deletes it.

    Raises:
        ValueError: the folder was not made by a quickstart.
    """
    names = sorted(entry.name for entry in output.iterdir()) if output.exists() else []
    if not names:
        return
    if not any(name.startswith("begun-") for name in names):
        raise ValueError(f"{output} holds files of something else, such as {names[0]}; choose another --output")
    kept = next(
        path for number in itertools.count(1) if not (path := output.with_name(f"{output.name}-{number}")).exists()
    )
    output.rename(kept)
    console.print(f"  the run before, with other data or settings, is kept as {kept}")


def run_to_end(command: Sequence[str]) -> None:
    """Run a command; a Ctrl-C, which a terminal sends to it too, lets it save and end by itself.

    Raises:
        subprocess.CalledProcessError: it failed.
        KeyboardInterrupt: after it has ended.
    """
    interrupted = False
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            try:
                process.wait()
            except KeyboardInterrupt:  # `subprocess.run` would kill it in the middle of its save
                interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def _manifest_bytes(overrides: dict[str, Any]) -> bytes:
    return b"".join(Path(source["path"]).read_bytes() for source in overrides.get("data.train", []))


def finish(plan: "Plan", folders: dict[str, Path], output: Path, seed: int) -> None:
    """Combine, evaluate, answer a question and write the page."""
    # Imported late: these load torch and transformers, and the steps before take no notice of them.
    from demo.quickstart.page import write_page
    from eval.report.terminal import summary
    from eval.run.results import save_results
    from eval.run.runner import evaluate
    from omni.model import OmniModel
    from omni.samples.messages import Message, Text

    step(3, f"Combining {' and '.join(folders)}, without more training")
    model = OmniModel.combine(folders)
    model.save(output / "model")
    console.print(f"  {output / 'model'}")

    step(4, "Evaluating zero-shot, on captions that training never saw")
    started = time.time()
    result = evaluate(
        model,
        plan.tasks,
        suite="quickstart",
        cache_path=output / "evaluation" / "answers.sqlite",
        seed=seed,
        bridges=False,  # it would ask the LLM half as much again
    )
    result.model["from"] = [str(output / "model")]
    save_results(result, output / "evaluation" / "results.json")

    console.print(summary(result), markup=False)

    step(5, "Asking for descriptions in its own words")
    answers = []
    for asked in plan.questions:
        answers.append(model.generate([Message("user", (*asked.media, Text(asked.question)))]))
        seen = " and ".join(item.describe() for item in asked.media)
        console.print(f"  {seen}: {answers[-1]}   (its caption: {asked.caption})", markup=False)

    step(6, "Writing the report")
    page = output / "report.html"
    encoders = {name: model.modality(name).encoder for name in folders}
    write_page(page, plan, folders, result, answers, evaluation_seconds=time.time() - started, encoders=encoders)
    console.print(f"  [bold]{page}[/bold]  (open it in a browser)")


def step(number: int, title: str) -> None:
    """Announce a step."""
    console.rule(f"[bold]{number}. {title}", align="left")


if __name__ == "__main__":
    sys.exit(main())
