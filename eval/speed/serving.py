"""`python -m eval.speed serving`: answers of a running batch next to one at a time and to `transformers serve`.

All have the same LLM, questions and number format, and answer greedily; answers of the batch must be those of one at a
time. A *round* is all questions, of which so many at once are under way. Wall seconds on a machine that others use say
little, so those of the processors are shown too.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from eval.speed.ranking_shapes import build_ranking_shape
from eval.speed.transformers_serving import Reply, TransformersServer, missing_packages
from omni.answering import Answering, Sampling
from omni.model import OmniModel
from omni.samples.messages import Message, Text
from omni.starter import resolve

THINGS = ("a frog", "the moon", "a bridge", "rain", "a violin", "bread", "a lighthouse", "winter")


@dataclass
class Contender:
    """How fast one way of answering was; lists have an entry for each round."""

    name: str
    at_once: int  # questions under way
    num_tokens: int = 0  # of all answers of a round
    same_answers: int = 0  # as one at a time
    wall_seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    @property
    def tokens_per_second(self) -> float:
        """By the clock, median over rounds."""
        return self.num_tokens / statistics.median(self.wall_seconds)

    @property
    def tokens_per_cpu_second(self) -> float:
        """Of the process that answers, all its threads together, median over rounds."""
        return self.num_tokens / statistics.median(self.cpu_seconds)


def run(options: argparse.Namespace) -> None:
    """Measure, write the figures and print the table.

    Raises:
        ValueError: a number out of range, or answers of the batch that are not those of one at a time.
    """
    for name in ("rounds", "questions", "tokens"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} is {getattr(options, name)}, but must be at least 1")
    if min(options.at_once) < 1:
        raise ValueError(f"--at_once is {options.at_once}, but each must be at least 1")

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    model = _load(options)
    questions = [ask(number) for number in range(options.questions)]
    folder = _llm_folder(model)
    why_not = "--no_transformers" if options.no_transformers else _why_not_transformers(folder)
    with ExitStack() as stack:
        server = None
        if not why_not:
            assert folder is not None
            progress("transformers serve: loading")
            dtype = str(model.llm.dtype).removeprefix("torch.")
            server = stack.enter_context(TransformersServer(folder, dtype, model.device.type))
        found = measure(model, questions, options, server, progress)
    where = {
        "llm": model.llm.config.name,
        "dtype": str(model.llm.dtype).removeprefix("torch."),
        "device": torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else "CPU",
        "threads": torch.get_num_threads(),
        "questions": options.questions,
        "most_tokens": options.tokens,
        "rounds": options.rounds,
    }
    print(markdown(where, found))
    if why_not:
        print(f"transformers serve was not measured: {why_not}")
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "serving.json"
    path.write_text(json.dumps({**where, "contenders": [asdict(one) for one in found]}, indent=2) + "\n", "utf-8")
    print(f"written: {path}")


def ask(number: int) -> list[Message]:
    """Return a question in words, each with another text and another length."""
    thing = THINGS[number % len(THINGS)]
    more = " Take your time, and do not leave anything out." * (number % 3)
    return [Message("user", (Text(f"Tell me {number + 2} things about {thing}.{more}"),))]


def measure(
    model: OmniModel,
    questions: Sequence[list[Message]],
    options: argparse.Namespace,
    server: TransformersServer | None,
    progress: Callable[[str], None],
) -> list[Contender]:
    """Let all take turns, round by round.

    Raises:
        ValueError: answers of the batch are not those of one at a time.
    """
    plain = Contender("one at a time", 1)
    ours = [Contender("running batch", count) for count in options.at_once]
    theirs = [Contender("transformers serve", count) for count in options.at_once] if server else []
    model.generate(questions[0], max_new_tokens=2)
    expected: list[str] = []
    for number in range(options.rounds):
        expected = _in_turn(model, questions, options.tokens, plain)
        for one in ours:
            _together(model, questions, options.tokens, one, expected)
        for one in theirs:
            assert server is not None
            _served(server, questions, options.tokens, one, expected)
        for one in [plain, *ours, *theirs]:
            progress(f"round {number + 1} of {options.rounds}: {one.name}, {one.at_once}: {one.wall_seconds[-1]:.1f} s")
    plain.num_tokens, plain.same_answers = ours[0].num_tokens, len(questions)
    for one in ours:
        if one.same_answers != len(questions):
            raise ValueError(f"{one.at_once} at once: {one.same_answers} of {len(questions)} answers are as alone")
    return [plain, *ours, *theirs]


def _in_turn(model: OmniModel, questions: Sequence[list[Message]], most: int, found: Contender) -> list[str]:
    wall, cpu = time.perf_counter(), time.process_time()
    answers = [model.generate(question, max_new_tokens=most) for question in questions]
    found.wall_seconds.append(time.perf_counter() - wall)
    found.cpu_seconds.append(time.process_time() - cpu)
    return answers


def _together(
    model: OmniModel, questions: Sequence[list[Message]], most: int, found: Contender, expected: Sequence[str]
) -> None:
    with Answering(model, max_rows=found.at_once, max_waiting=len(questions)) as answering:
        wall, cpu = time.perf_counter(), time.process_time()
        answers = [answering.submit(question, Sampling(max_new_tokens=most)) for question in questions]
        texts = [answer.text() for answer in answers]
        found.wall_seconds.append(time.perf_counter() - wall)
        found.cpu_seconds.append(time.process_time() - cpu)
        found.num_tokens = sum(answer.finished().answer_tokens for answer in answers)
    found.same_answers = sum(a == b for a, b in zip(texts, expected, strict=True))


def _served(
    server: TransformersServer, questions: Sequence[list[Message]], most: int, found: Contender, expected: Sequence[str]
) -> None:
    def answer(question: list[Message]) -> Reply:
        return server.answer("".join(part.text for part in question[0].content if isinstance(part, Text)), most)

    with ThreadPoolExecutor(found.at_once) as pool:
        wall, cpu = time.perf_counter(), server.cpu_seconds()
        replies = [*pool.map(answer, questions)]
        found.wall_seconds.append(time.perf_counter() - wall)
        found.cpu_seconds.append(server.cpu_seconds() - cpu)
    found.num_tokens = sum(reply.num_tokens for reply in replies)
    found.same_answers = sum(reply.text.strip() == text for reply, text in zip(replies, expected, strict=True))


def _load(options: argparse.Namespace) -> OmniModel:
    if options.model is not None:
        return OmniModel.load(options.model).eval()
    return build_ranking_shape(options.shape).model


def _llm_folder(model: OmniModel) -> Path | None:
    """Where the LLM is, if it is as it was published."""
    folder = Path(resolve(model.llm.config.name)) if model.llm.config.name else None
    return folder if folder is not None and folder.is_dir() and not model.llm.has_lora else None


def _why_not_transformers(folder: Path | None) -> str:
    if folder is None:
        return "it needs a folder with the LLM, without LoRA"
    missing = missing_packages()
    return f"{', '.join(missing)} missing; pip install 'transformers[serving]'" if missing else ""


def markdown(where: dict[str, object], found: Sequence[Contender]) -> str:
    """Return the conditions and a table."""
    lines = [
        f"{where['llm']}, {where['dtype']}, {where['device']}, {where['threads']} thread(s); {where['questions']} "
        f"questions, answers of at most {where['most_tokens']} tokens; medians of {where['rounds']} round(s).",
        "",
        "| | at once | tokens | tokens/s | tokens/s of CPU time | answers as one at a time |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.name} | {one.at_once} | {one.num_tokens} | {one.tokens_per_second:.1f} | "
        f"{one.tokens_per_cpu_second:.1f} | {one.same_answers} of {where['questions']} |"
        for one in found
    ]
    return "\n".join(lines)
