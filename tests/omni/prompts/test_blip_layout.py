"""Layouts without chat template: pieces, start tokens, labels, turns, and what they are refused for."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from omni.config import PromptConfig
from omni.media.item import Media
from omni.model import OmniModel
from omni.prompts.blip_layout import BlipLayout
from omni.prompts.chat_layout import IGNORED_LABEL, MEDIA_SLOT, Layout
from omni.samples.messages import Message, Role, SampleError, Text
from tests.tiny import MLP, sensor, tiny_model, tiny_tokenizer

START, END = "<|endoftext|>", "<|im_end|>"
CUES = {"image": "picture: ", "sound": ""}
EACH = PromptConfig(start_token=START)
FIRST = PromptConfig(start_token=START, start="first", prefix="user: ", postfix=" assistant:")


def message(role: Role, *content: str | Media) -> Message:
    return Message(role, tuple(Text(part) if isinstance(part, str) else part for part in content))


PICTURE, SOUND = Media("image", path="a.png"), Media("sound", path="a.wav")
DIALOGUE = [
    message("user", "what is", PICTURE, "this?", SOUND),
    message("assistant", "a frog"),
    message("user", "was it heard"),
    message("assistant", " a bell "),
]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return tiny_tokenizer()


def written(layout: Layout, tokenizer: Any) -> str:
    """The layout with `*` for media."""
    return "".join("*" if one == MEDIA_SLOT else str(tokenizer.decode([one])) for one in layout.token_ids)


def labelled(layout: Layout, tokenizer: Any) -> str:
    """What has labels, with `|` between the runs."""
    runs = [""]
    for label in layout.labels:
        if label != IGNORED_LABEL:
            runs[-1] += str(tokenizer.decode([label]))
        elif runs[-1]:
            runs.append("")
    return "|".join(run for run in runs if run)


@pytest.mark.parametrize(
    ("prompt", "system", "expected"),
    [
        (EACH, None, f"{START}picture: **{START}what is this?a frog{END}{START}was it hearda bell{END}"),
        (
            FIRST,
            None,
            f"{START}user: picture: **what is this? assistant:a frog{END}user: was it heard assistant:a bell{END}",
        ),
        (
            FIRST,
            "You hear.",
            f"{START}You hear.user: picture: **what is this? assistant:a frog{END}"
            f"user: was it heard assistant:a bell{END}",
        ),
        (
            PromptConfig(answer_prefix=" ", answer_end="\n"),
            None,
            "picture: **what is this? a frog\nwas it heard a bell\n",
        ),
        (
            PromptConfig(start_token=START, show_text=False),
            None,
            f"{START}picture: **{START}a frog{END}{START}a bell{END}",
        ),
    ],
)
def test_turns_are_written_media_first_piece_by_piece(
    tokenizer: Any, prompt: PromptConfig, system: str | None, expected: str
) -> None:
    encoder = BlipLayout(tokenizer, CUES, prompt, system)
    layout = encoder.encode(DIALOGUE, answer=True)
    assert written(layout, tokenizer) == expected
    assert layout.media == [PICTURE, SOUND]
    assert layout.instructions == ["what isthis?", "what isthis?"]
    asked = encoder.encode(DIALOGUE[:3], answer=False)
    answers = (
        layout.token_ids[layout.answer_start :] if prompt.show_text else layout.token_ids[layout.answer_start + 1 :]
    )
    assert asked.token_ids + answers == layout.token_ids, "what is asked is what stands before the answer in training"
    assert asked.answer_start == len(asked.token_ids)
    assert set(asked.labels) <= {IGNORED_LABEL, *layout.labels}


def test_answers_have_labels_and_on_request_questions_without_the_postfix(tokenizer: Any) -> None:
    encoder = BlipLayout(tokenizer, CUES, FIRST)
    assert labelled(encoder.encode(DIALOGUE, answer=True), tokenizer) == f"a frog{END}|a bell{END}"
    layout = encoder.encode(DIALOGUE, answer=True, questions=True)
    assert labelled(layout, tokenizer) == f"what is this?|a frog{END}|was it heard|a bell{END}"
    hidden = BlipLayout(tokenizer, CUES, PromptConfig(start_token=START, show_text=False))
    assert labelled(hidden.encode(DIALOGUE[:2], answer=True, questions=True), tokenizer) == f"{START}a frog{END}"


def test_a_turn_without_text_still_begins_with_the_start_token(tokenizer: Any) -> None:
    """As OPT's tokenizer gives one for an empty prompt, which BLIP-2 captions from."""
    encoder = BlipLayout(tokenizer, {"image": ""}, PromptConfig(start_token=START, answer_prefix=" "))
    layout = encoder.encode([message("user", PICTURE), message("assistant", "a frog")], answer=True)
    assert written(layout, tokenizer) == f"*{START}a frog{END}"


def test_it_is_pickled_for_workers_and_remembers_pieces_within_bounds(tokenizer: Any) -> None:
    encoder = BlipLayout(tokenizer, CUES, FIRST)
    layout = encoder.encode(DIALOGUE, answer=True)
    assert pickle.loads(pickle.dumps(encoder)).encode(DIALOGUE, answer=True) == layout
    layout.token_ids.append(7)
    assert encoder.encode(DIALOGUE, answer=True).token_ids == layout.token_ids[:-1]


def test_what_cannot_be_laid_out_is_refused(tokenizer: Any) -> None:
    encoder = BlipLayout(tokenizer, {"image": ""}, EACH)
    with pytest.raises(SampleError, match=r"no modality 'sound'; it has \['image'\]"):
        encoder.encode(DIALOGUE, answer=True)
    with pytest.raises(SampleError, match="the last turn must be the assistant's answer"):
        encoder.encode(DIALOGUE[:1], answer=True)
    with pytest.raises(ValueError, match=r"model.prompt.start_token: '</s>' is not one token"):
        BlipLayout(tokenizer, {}, PromptConfig(start_token="</s>"))
    with pytest.raises(ValueError, match=r"model.prompt.answer_end: 'the end' is not one token"):
        BlipLayout(tokenizer, {}, PromptConfig(answer_end="the end"))


def model_with_prompt(llm: Path, prompt: PromptConfig) -> OmniModel:
    model = tiny_model(llm, adapters={"image": MLP, "sound": MLP})
    model.prompt = prompt
    return model


@pytest.mark.parametrize("prompt", [EACH, FIRST, PromptConfig(start_token=START, show_text=False)])
def test_scores_are_what_training_would_lose_and_do_not_depend_on_the_batch(
    tiny_llm: Path, prompt: PromptConfig
) -> None:
    model = model_with_prompt(tiny_llm, prompt)
    asked = [message("user", sensor("image", 1), "what is this?")]
    candidates = ["a frog", "the bell", "dog"]
    scores = model.score(asked, candidates)
    for candidate, score in zip(candidates, scores, strict=True):
        example = model.prepare([*asked, message("assistant", candidate)], answer=True)
        with torch.no_grad():
            loss = model([example], num_answer_tokens=1)
        assert float(score) == pytest.approx(-float(loss), abs=1e-4)
    other = [message("user", sensor("sound", 2, length=9), "describe it")]
    both = model.score_batch([asked, other], candidates)
    torch.testing.assert_close(both[0], scores, atol=1e-4, rtol=0)
    packed = [model.prepare([*asked, message("assistant", one)], answer=True) for one in candidates]
    with torch.no_grad():
        torch.testing.assert_close(model(packed, packed=True), model(packed), atol=1e-5, rtol=1e-5)


def test_the_layout_is_saved_part_of_the_fingerprint_and_the_same_for_all_that_is_combined(
    tiny_llm: Path, tmp_path: Path
) -> None:
    plain, pieces = tiny_model(tiny_llm, adapters={"image": MLP}), model_with_prompt(tiny_llm, FIRST)
    plain.save(tmp_path / "plain")
    pieces.save(tmp_path / "pieces")
    loaded = OmniModel.load(tmp_path / "pieces")
    assert loaded.prompt == FIRST
    assert loaded.fingerprint() == pieces.fingerprint() != model_with_prompt(tiny_llm, EACH).fingerprint()
    assert OmniModel.combine({"image": tmp_path / "pieces", "sound": tmp_path / "pieces"}).prompt == FIRST
    with pytest.raises(ValueError, match=r"different layouts of conversations \(model.prompt"):
        OmniModel.combine({"image": tmp_path / "plain", "sound": tmp_path / "pieces"})
