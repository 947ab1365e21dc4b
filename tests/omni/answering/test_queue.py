"""The queue of an `Answering`, and that nobody notices when another answer is cancelled, late, bad or refused."""

import threading
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch

from omni.answering import Answering, Finished, Piece, QueueFullError, Sampling
from omni.media.item import Media
from omni.model import OmniModel
from omni.samples.messages import Message, Text, TooLongError
from tests.omni.answering.conversations import mixed_model, model_of
from tests.tiny import sensor

LONG = Sampling(max_new_tokens=400, min_new_tokens=400)
SHORT = Sampling(max_new_tokens=10, min_new_tokens=10)


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return mixed_model(tiny_llm)


@pytest.fixture
def answering(model: OmniModel) -> Iterator[Answering]:
    with Answering(model) as found:
        yield found


def question(seed: int = 0, *media: Media) -> list[Message]:
    return [Message("user", (*media, sensor("image", seed), Text("what is this?")))]


def expected(model: OmniModel, seed: int) -> str:
    return model.generate(question(seed), max_new_tokens=10, min_new_tokens=10)


@pytest.fixture(scope="module")
def neighbour(model: OmniModel) -> str:
    return expected(model, 1)


def test_a_cancelled_answer_ends_and_frees_its_row(answering: Answering, neighbour: str) -> None:
    gone, other = answering.submit(question(), LONG), answering.submit(question(1), SHORT)
    first = next(iter(gone))
    gone.cancel()
    gone.cancel()
    found = gone.finished()
    assert found.reason == "cancelled"
    assert 0 < found.answer_tokens < 400
    assert gone.text().startswith(first.text)
    assert other.text() == neighbour
    statistics = answering.statistics()
    assert (statistics.cancelled, statistics.answered) == (1, 1)
    answering.call(lambda: None)  # a step later
    assert (answering.statistics().running, answering.statistics().cache_tokens) == (0, 0)


def test_an_answer_that_runs_out_of_time_keeps_what_there_is(answering: Answering, neighbour: str) -> None:
    late, other = answering.submit(question(), LONG, timeout=0.2), answering.submit(question(1), SHORT)
    assert late.finished().reason == "timeout"
    assert late.finished().answer_tokens < 400
    assert other.text() == neighbour
    assert answering.statistics().timed_out == 1


def test_a_full_queue_refuses_and_who_waits_too_long_gives_up(model: OmniModel) -> None:
    with Answering(model, max_rows=1, max_waiting=2) as answering:
        running = answering.submit(question(), LONG)
        next(iter(running))
        late, waits = answering.submit(question(1), timeout=0.05), answering.submit(question(2), SHORT)
        with pytest.raises(QueueFullError, match="2 requests wait already; try again in 1 s") as caught:
            answering.submit(question(3))
        assert caught.value.retry_after >= 1
        with pytest.raises(QueueFullError):
            answering.score(question(), ["a frog"])
        assert late.finished() == Finished("timeout")
        cancelled = answering.submit(question(3))
        cancelled.cancel()
        assert cancelled.finished() == Finished("cancelled")  # at once, while the other goes on
        assert answering.statistics().running == 1
        running.cancel()
        assert waits.text() == expected(model, 2)
        assert answering.statistics().refused == 2


BAD = {
    "a file that is not there": (sensor("image", 0), "No such file"),
    "values that are no numbers": (Media("image", data=np.full((6, 3), np.nan, np.float32)), "is not finite"),
    "an array of another shape": (Media("image", data=np.zeros((6, 2), np.float32)), r"an array \[T, 3\]"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_medium_is_an_error_of_its_own_answer(
    name: str, answering: Answering, neighbour: str, tmp_path: Path
) -> None:
    media, said = BAD[name]
    if "file" in name:
        media = Media("image", str(tmp_path / "gone.npy"))
    others = [answering.submit(question(1), SHORT) for _ in range(2)]
    bad = answering.submit(question(0, media), SHORT)
    others += [answering.submit(question(1), SHORT) for _ in range(2)]
    for ask in (bad.text, bad.finished, lambda: [*bad]):
        with pytest.raises((ValueError, OSError), match=said):
            ask()
    assert [other.text() for other in others] == [neighbour] * 4
    assert answering.statistics().failed == 1


def test_a_conversation_that_is_too_long_is_an_error_of_its_own(answering: Answering, neighbour: str) -> None:
    bad = answering.submit([{"role": "user", "content": "what is this? " * 400}])
    with pytest.raises(TooLongError, match="context of 512"):
        bad.text()
    with pytest.raises(TooLongError):
        answering.score([{"role": "user", "content": "what is this? " * 400}], ["x"])
    assert answering.submit(question(1), SHORT).text() == neighbour


def test_an_encoder_that_fails_on_one_of_a_batch_fails_that_one(model: OmniModel, neighbour: str) -> None:
    encoder, held = model.modality("sound").encoder, Event()
    encode = encoder.encode

    def picky(inputs: dict[str, torch.Tensor]) -> object:
        if (inputs["values"] > 90).any():
            raise RuntimeError("too loud")
        return encode(inputs)

    encoder.encode = picky
    try:
        with Answering(model) as answering:
            hold = threading.Thread(target=lambda: answering.call(held.wait))
            hold.start()
            loud = Media("sound", data=np.full((4, 3), 99, np.float32))
            answers = [answering.submit(question(1, *media), SHORT) for media in ((loud,), (), ())]
            quiet = answering.submit(question(0, sensor("sound", 3)), SHORT)
            while answering.statistics().waiting < 4:
                pass
            held.set()  # all of them come together
            hold.join()
            with pytest.raises(RuntimeError, match="too loud"):
                answers[0].text()
            assert [answer.text() for answer in answers[1:]] == [neighbour] * 2
            assert quiet.finished().reason == "length"
    finally:
        del encoder.encode


def test_events_come_in_order_and_one_that_takes_none_is_cancelled(answering: Answering) -> None:
    events: list[Piece | Finished | Exception] = []
    answer = answering.submit(question(), SHORT, on_event=events.append)
    text = answer.text()
    assert "".join(event.text for event in events if isinstance(event, Piece)) == text
    assert events[-1] == answer.finished()
    assert [piece.text for piece in answer] == [event.text for event in events if isinstance(event, Piece)]

    def broken(_: object) -> None:
        raise OSError("the client is gone")

    assert answering.submit(question(), LONG, on_event=broken).finished().reason == "cancelled"


def test_limits_and_counts_of_an_answer(answering: Answering, model: OmniModel) -> None:
    media = (sensor("sound", 1, 9), sensor("image", 1))
    first = answering.submit(question(1, *media), Sampling(max_new_tokens=3, min_new_tokens=3)).finished()
    again = answering.submit(question(1, *media), Sampling(max_new_tokens=3, min_new_tokens=3)).finished()
    assert (first.reason, first.answer_tokens, first.cached_media) == ("length", 3, 1)  # two are the same picture
    assert again == Finished("length", first.prompt_tokens, 3, first.media_tokens, 3)
    (tokens,) = model.media_tokens([model.prepare(question(1, *media))])
    assert first.media_tokens == tuple(map(len, tokens))
    statistics = answering.statistics()
    assert (statistics.media_encoded, statistics.media_hits, statistics.media_kept) == (2, 4, 2)
    full = answering.submit(question(), Sampling(max_new_tokens=600, min_new_tokens=600)).finished()
    assert full.reason == "context"
    assert full.prompt_tokens + full.answer_tokens == 512


def test_scores_embeddings_and_calls_run_between_steps(answering: Answering, model: OmniModel) -> None:
    candidates = ["a frog", "the dog"]
    score, embedding = model.score(question(2), candidates), model.embed(question(2), "in a word:")
    running = answering.submit(question(), LONG)
    next(iter(running))
    torch.testing.assert_close(answering.score(question(2), candidates), score, atol=1e-5, rtol=0)
    torch.testing.assert_close(answering.embed(question(2), "in a word:"), embedding, atol=1e-5, rtol=0)
    assert answering.call(lambda: 7) == 7
    assert answering.statistics().running == 1
    with pytest.raises(ValueError, match="normalization 'x' is unknown"):
        answering.score(question(2), candidates, "x")
    with pytest.raises(TimeoutError):
        answering.score(question(2), candidates, timeout=0)
    running.cancel()


def test_beams_are_those_of_generate(answering: Answering, model: OmniModel) -> None:
    options = {"num_beams": 3, "max_new_tokens": 8, "repetition_penalty": 1.4}
    answer = answering.submit(question(), Sampling(**options))
    assert answer.text() == model.generate(question(), **options)
    cancelled = answering.submit(question(), Sampling(num_beams=2, max_new_tokens=400, min_new_tokens=400), timeout=0.3)
    assert cancelled.finished().reason == "timeout"


def test_one_that_answers_alone_has_the_same_interface(tmp_path: Path) -> None:
    model = model_of("mamba", tmp_path)
    one = [Message("user", (sensor("image", 1), Text("what?")))]
    with Answering(model, max_waiting=3) as answering:
        assert not answering.batches
        sampling = Sampling(max_new_tokens=6, temperature=1.0, seed=3, top_logprobs=2)
        first, second = answering.submit(one, sampling), answering.submit(one, sampling)
        assert first.text() == second.text()
        assert len([token for piece in first for token in piece.tokens]) == 6
        long = answering.submit(one, Sampling(max_new_tokens=300, min_new_tokens=300))
        next(iter(long))
        late = answering.submit(one, timeout=0)
        assert late.finished().reason == "timeout"  # while the long one goes on
        long.cancel()
        assert long.finished().reason == "cancelled"
        whole = answering.submit(one, SHORT).text()
        assert len(whole) > 2
        assert whole.startswith(answering.submit(one, Sampling(max_new_tokens=10, stop=(whole[2],))).text())


def test_closing_ends_everything(model: OmniModel) -> None:
    answering = Answering(model, max_rows=1)
    answers = [answering.submit(question(), LONG) for _ in range(3)]
    next(iter(answers[0]))
    answering.close()
    answering.close()
    assert {answer.finished().reason for answer in answers} == {"cancelled"}
    assert model.recent_features is None
    with pytest.raises(RuntimeError, match="closed"):
        answering.submit(question())


@pytest.mark.parametrize("limits", [{"max_rows": 0}, {"max_waiting": 0}, {"max_tokens": 0}, {"kept_media_bytes": -1}])
def test_limits_that_make_no_sense_are_named(limits: dict[str, int], model: OmniModel) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(limits))} is"):
        Answering(model, **limits)
