"""`python -m eval SUITE|TASK[,TASK] --model DIR`: evaluate a model; `python -m eval --list` shows what there is."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from eval.commands import COMMANDS, command_of
from eval.task import OFFICIAL, Task
from omni.config.trust import TRUST_CODE_HELP
from omni.runtime.folder_lock import hold_folder
from omni.runtime.launching import say_once
from omni.runtime.model_folder import check_model_folder

if TYPE_CHECKING:
    from eval.run.processes import Processes
    from eval.run.results import RunResult
    from eval.run.space import Respondent
    from omni.model import OmniModel


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m eval", description="Evaluate a model zero-shot.")
    parser.add_argument(
        "what",
        nargs="?",
        help=f"a suite, a task, my_tasks.py:TASK, or several with commas; or a command ({', '.join(COMMANDS)})",
    )
    parser.add_argument("--list", action="store_true", help="show suites and tasks")
    parser.add_argument("--benchmarks", action="store_true", help="print the table of docs/benchmarks.md")
    parser.add_argument(
        "--model",
        nargs="+",
        metavar="DIR",
        help="the folder of a model or of a joint space, or NAME=DIR NAME=DIR to combine adapters",
    )
    parser.add_argument(
        "--output", type=Path, help="folder of the results (default: evaluation/SUITE in the model's folder)"
    )
    parser.add_argument(
        "--data", help="folder of a benchmark's official files; or read the items of all named tasks from this source"
    )
    parser.add_argument(
        "--style",
        choices=("auto", "chat", "plain"),
        default="auto",
        help="how tasks with two wordings ask: chat = an instruction, plain = a text to go on with (default: plain for "
        "an LLM without a chat template)",
    )
    parser.add_argument("--prompt", help="ask all tasks with this text instead; '' = nothing but the media")
    parser.add_argument("--limit", type=int, help="the most items of a task, a sample by seed")
    parser.add_argument("--batch_size", type=int, default=8, help="conversations in one call of the model (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="seed of shuffles, distractors and samples (default: 0)")
    parser.add_argument("--device", help="where the model runs (default: the GPU if there is one)")
    parser.add_argument("--trust_code", action="store_true", help=TRUST_CODE_HELP)
    parser.add_argument("--no_probe", action="store_true", help="leave out the linear probes")
    parser.add_argument("--no_linear_map", action="store_true", help="leave out the linear maps")
    parser.add_argument("--no_bridge", action="store_true", help="leave out the encoders' labels as text")
    parser.add_argument(
        "--text_encoder",
        default="starter:minilm",
        help="sentence encoder of the linear maps: a hub id, a folder or starter:NAME (default: starter:minilm)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    The exit status is 0, 130 when interrupted, or 2 for a mistake of the user's, a named task that cannot run or a
    suite of which no task can.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words and words[0] in COMMANDS:
        return reporting_errors(lambda: command_of(words[0])(words[1:]))
    parser = build_parser()
    options = parser.parse_args(words)
    if options.list or options.benchmarks:
        return reporting_errors(lambda: show(options))
    if not options.what or not options.model:
        parser.error("name a suite or task and --model DIR (or see --list)")
    return reporting_errors(lambda: run(options))


def show(options: argparse.Namespace) -> int:
    """Print what there is."""
    if options.list:
        from eval.tasks.listing import listing

        print(listing(), flush=True)
    else:
        from eval.tasks.benchmark_table import benchmark_page

        print(benchmark_page(), end="", flush=True)
    return 0


def reporting_errors(call: Callable[[], int]) -> int:
    """Return the exit status of a call, or 2 and a line about a mistake of the user's, or 130 when interrupted."""
    try:
        return call()
    except BrokenPipeError:  # who reads has seen enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        say_once(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say_once("\nstopped; the answers so far are kept, and the same command goes on from here")
        return 130


def run(options: argparse.Namespace) -> int:
    """Evaluate and write the results; of several processes the first one does, and the others help it."""
    from eval.tasks.suites import SUITES, get_tasks  # late: the declarations of all benchmarks take a second

    if os.getcwd() not in sys.path:  # accelerate leaves it out, and a task may name classes of the user's own files
        sys.path.insert(0, os.getcwd())
    tasks = all_with_data([task.changed(prompt=options.prompt) for task in get_tasks(options.what)], options.data)
    if all(task.data.startswith(OFFICIAL) and task.folder is None for task in tasks):
        name = tasks[0].data.removeprefix(OFFICIAL).partition("/")[0]
        raise ValueError(
            f"{options.what} needs official files: give their folder as --data FOLDER; `python -m eval data {name}` "
            "says what must lie there"
        )
    for folder in model_folders(options.model).values():
        check_model_folder(Path(folder), "--model")
    # Imported late: torch and transformers take seconds, and mistakes in the arguments should show at once.
    from eval.run.ask import help_asking
    from eval.run.processes import join_processes, keep_models_whole
    from eval.run.runner import missing_modalities, missing_modality_message

    keep_models_whole()
    model = load_model(options.model, options.device, options.trust_code)
    if options.what not in SUITES:
        for task in tasks:
            if missing_modalities(model, task):
                raise ValueError(missing_modality_message(model, task))
    output = options.output or default_output(options.model, options.what)
    with join_processes() as processes:
        if processes.rank:
            help_asking(cast("OmniModel", model), processes)  # a joint space is asked nothing here, and ends
            return 0
        with hold_folder(output, "Wait until it ends, or choose another --output"):
            return _evaluate(options, model, tasks, output, processes)


def _evaluate(
    options: argparse.Namespace, model: "Respondent", tasks: "Sequence[Task]", output: Path, processes: "Processes"
) -> int:
    """Ask, show and write the results into a folder that nothing else writes to."""
    from eval.report.card import CARD, add_to_card
    from eval.report.terminal import summary
    from eval.run.runner import evaluate
    from eval.tasks.suites import SUITES

    result = evaluate(
        model,
        tasks,
        suite=options.what,
        cache_path=output / "answers.sqlite",
        limit=options.limit,
        batch_size=options.batch_size,
        seed=options.seed,
        probes=not options.no_probe,
        style=None if options.style == "auto" else options.style,
        linear_maps=not options.no_linear_map,
        bridges=not options.no_bridge,
        text_encoder=options.text_encoder,
        processes=processes,
    )
    result.model["from"] = options.model
    print(summary(result))
    computed = [task.status == "computed" for task in result.tasks]
    if not any(computed) and (output / "results.json").exists():
        print(f"\nnothing was computed: the results of before in {output} are left as they are")
        return 2
    write_results(result, output, model)
    folder = model_folders(options.model).get("")
    if folder is not None and options.limit is None and any(computed) and add_to_card(Path(folder), result):
        print(f"\nits figures are in the model card {Path(folder) / CARD}")
    print(f"\nwritten: {output / 'report.html'}, {output / 'results.md'}, {output / 'results.json'}")
    # A suite may leave out tasks, with the reason in the results, but not all of them; a named task must run.
    return 0 if (any if options.what in SUITES else all)(computed) else 2


def all_with_data(tasks: Sequence[Task], data: str | None) -> list[Task]:
    """Return tasks with other data; beside tasks on official files, whose folder it is, the others keep their own.

    Raises:
        FileNotFoundError, ValueError: see `with_data`.
    """
    is_official = [task.data.startswith(OFFICIAL) for task in tasks]
    takes = is_official if any(is_official) else [True] * len(tasks)
    return [with_data(task, data) if taken else task for task, taken in zip(tasks, takes, strict=True)]


def with_data(task: Task, data: str | None) -> Task:
    """Return the task with other data: a folder is that of the official files, for a task that takes these.

    Raises:
        FileNotFoundError: such a task is given a path, and there is nothing.
        ValueError: it is given one of the official files.
    """
    if data is None or not task.data.startswith(OFFICIAL):
        return task.changed(data=data)
    if Path(data).is_dir():
        return task.changed(folder=data)
    if Path(data).name in _official_names(task):
        raise ValueError(
            f"--data {data} is one of the official files of task {task.name!r}: name the folder that holds all of "
            "them, with the media"
        )
    if not Path(data).exists() and not any(mark in data for mark in ":*?[{"):  # no hub, no pattern of shards
        name = task.data.removeprefix(OFFICIAL).partition("/")[0]
        raise FileNotFoundError(
            f"--data {data}: there is no such folder; task {task.name!r} takes the one with the official files of "
            f"{name}, and `python -m eval data {name}` says what must lie there"
        )
    return task.changed(data=data)


def _official_names(task: Task) -> set[str]:
    """Return the names of files that only the official data of a task need; your own may be called `val.json` too."""
    from eval.data.opening import split_of  # late: the declarations of all benchmarks take a second

    layouts = split_of(task.data)[2].layouts
    needs = [need for layout in layouts for need in layout.needs]
    names = [name for need in needs for name in ((need,) if isinstance(need, str) else need)]
    found = {name.rpartition("/")[2] for name in names if "*" not in name}
    return {name for name in found if name.partition(".")[0] not in ("train", "val", "validate", "test")}


def model_folders(values: Sequence[str]) -> dict[str, str]:
    """Return NAME -> folder of NAME=DIR pairs, or "" -> folder of the one that is given.

    Raises:
        ValueError: folders and NAME=DIR pairs are mixed, or there are several folders.
    """
    pairs = [value.partition("=") for value in values if "=" in value and not Path(value).exists()]
    if not pairs and len(values) == 1:
        return {"": values[0]}
    if len(pairs) != len(values):
        raise ValueError(f"--model takes one folder, or NAME=DIR for each adapter; got {' '.join(values)}")
    return {name: folder for name, _, folder in pairs}


def load_model(values: Sequence[str], device: str | None, trust_code: bool = False) -> "Respondent":
    """Load the model of one folder, or combine adapters from NAME=DIR pairs; device None = the GPU if there is one.

    A folder whose `config.yaml` describes a joint space gives one that answers by similarity.

    Raises:
        ValueError: folders and NAME=DIR pairs are mixed, there are several folders, there is no such device, or a
            folder names a class that may not run without `trust_code`.
        FileNotFoundError: there is no model.
    """
    from eval.run.processes import own_device
    from eval.run.space import SpaceRespondent
    from omni.joint_space import JointSpace
    from omni.joint_space.folder import is_space
    from omni.model import OmniModel

    device = device or own_device()
    check_device(device)
    folders = model_folders(values)
    if "" in folders:
        if is_space(folders[""]):
            return SpaceRespondent(JointSpace.load(folders[""], trust_code, device=device))
        return OmniModel.load(folders[""], trust_code, device=device)
    return OmniModel.combine(folders, device=device, trust_code=trust_code)


def check_device(device: str | None) -> None:
    """Check that a model can be put on `device`; None is the default one.

    Raises:
        ValueError: it cannot, with the reason.
    """
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA raises this one
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--device {device!r} cannot be used here ({reason}); cpu always can") from error


def default_output(models: Sequence[str], what: str) -> Path:
    """Return `evaluation/SUITE` in the folder of the first model."""
    folder = models[0] if Path(models[0]).exists() else models[0].partition("=")[2]
    name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in what)[:60]
    return Path(folder) / "evaluation" / name


def write_results(result: "RunResult", output: Path, model: "Respondent") -> None:
    """Write `results.json`, `results.md` and `report.html` into the folder `output`.

    The report shows media as the encoders of `model` do.
    """
    from eval.report import markdown_report, sections_of, write_report
    from eval.run.results import save_results
    from omni.runtime.files import write_atomically

    save_results(result, output / "results.json")
    write_atomically(output / "results.md", markdown_report(result))
    encoders = {name: model.modality(name).encoder for name in model.modalities}
    title = f"How the model does on {result.suite.replace(',', ', ')}"
    write_report(output / "report.html", sections_of(result), title=title, encoders=encoders)


if __name__ == "__main__":
    sys.exit(main())
