"""Scores with a shared prefix are those of running each candidate by itself."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import MambaConfig, MambaForCausalLM

import omni.model.candidate_scores
import omni.model.prefix_cache
from omni.model import OmniModel
from omni.model.token_tree import Suffix, grow_trees
from omni.prompts.chat_layout import MEDIA_SLOT
from omni.samples.messages import Message, SampleError, Text
from tests.omni.prompts.chat_templates import QWEN3
from tests.tiny import sensor, tiny_llm_dir, tiny_model, tiny_tokenizer

CANDIDATES = ["a frog", "a frog in the drum", "the bell", "a dog", "x", "what is this sound of the dog", "a frog."]


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm)


def question(seed: int, modality: str = "image", length: int = 6, text: str = "what is this?") -> list[Message]:
    return [Message("user", (sensor(modality, seed, length), Text(text)))]


def recomputed(model: OmniModel, messages: list[Message], candidates: list[str]) -> Tensor:
    """Each candidate by itself, through the loss; answers of earlier turns taken off."""
    scores = []
    for candidate in candidates:
        example = model.prepare([*messages, Message("assistant", (Text(candidate),))], answer=True)
        labels = example.labels.clone()
        last = len(model.prepare(messages).token_ids)
        labels[: min(last, len(labels))] = -100
        scores.append(
            -model([type(example)(example.id, example.token_ids, labels, example.media)], num_answer_tokens=1)
        )
    return torch.stack(scores).detach()


CONVERSATIONS = {
    "image": question(1),
    "long sound": question(2, "sound", length=23),
    "text only": [Message("user", (Text("what is a dog?"),))],
    "two media": [Message("user", (sensor("image", 3), sensor("sound", 4), Text("the same?")))],
    "several turns": [*question(5), Message("assistant", (Text("a bell"),)), *question(6, "sound", text="and this?")],
}


def test_an_llm_whose_cache_cannot_be_copied_gives_the_scores_of_full_recompute(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, state_size=4, **ids)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    recurrent = tiny_model(tmp_path)
    assert not recurrent.llm.can_copy_cache
    assert not recurrent.llm.can_branch
    scores = recurrent.score_batch(list(CONVERSATIONS.values()), CANDIDATES)
    for found, messages in zip(scores, CONVERSATIONS.values(), strict=True):
        torch.testing.assert_close(found, recomputed(recurrent, messages, CANDIDATES), atol=1e-4, rtol=0)


@pytest.mark.parametrize("branching", [True, False])
def test_shared_prefix_scores_equal_full_recompute(
    model: OmniModel, branching: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model.llm.can_branch
    monkeypatch.setitem(vars(model.llm.capabilities), "can_branch", branching)
    scores = model.score_batch(list(CONVERSATIONS.values()), CANDIDATES)
    for found, messages in zip(scores, CONVERSATIONS.values(), strict=True):
        torch.testing.assert_close(found, recomputed(model, messages, CANDIDATES), atol=1e-4, rtol=0)


@pytest.mark.parametrize("branching", [True, False])
def test_scores_do_not_depend_on_where_the_list_is_cut(
    model: OmniModel, branching: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(model.llm.capabilities), "can_branch", branching)
    conversations = [CONVERSATIONS["image"], CONVERSATIONS["long sound"]]
    expected = model.score_batch(conversations, CANDIDATES)
    monkeypatch.setattr(omni.model.candidate_scores, "_MAX_NODES", 8)
    monkeypatch.setattr(omni.model.candidate_scores, "_MAX_TOKENS", 20)
    torch.testing.assert_close(model.score_batch(conversations, CANDIDATES), expected, atol=1e-4, rtol=0)


def test_the_order_of_candidates_and_conversations_changes_nothing(model: OmniModel) -> None:
    conversations = [*CONVERSATIONS.values()]
    expected = model.score_batch(conversations, CANDIDATES)
    found = model.score_batch(conversations[::-1], CANDIDATES[::-1])
    torch.testing.assert_close(found.flip(0, 1), expected, atol=1e-4, rtol=0)


def test_each_conversation_may_have_its_own_candidates(model: OmniModel) -> None:
    conversations = [CONVERSATIONS["image"], CONVERSATIONS["several turns"]]
    found = model.score_batch(conversations, [["a frog", "x"], ["the bell of the dog", "a"]])
    torch.testing.assert_close(found[0], recomputed(model, conversations[0], ["a frog", "x"]), atol=1e-4, rtol=0)
    expected = recomputed(model, conversations[1], ["the bell of the dog", "a"])
    torch.testing.assert_close(found[1], expected, atol=1e-4, rtol=0)


def test_equal_candidates_have_equal_scores(model: OmniModel) -> None:
    scores = model.score(CONVERSATIONS["image"], ["a frog", "a dog", "a frog"])
    assert scores[0] == scores[2] != scores[1]


def test_normalization_divides_by_tokens_or_bytes(model: OmniModel) -> None:
    messages, candidates = CONVERSATIONS["image"], ["a frog", "жаба"]
    total = model.score(messages, candidates)
    counts = [
        model.prepare([*messages, Message("assistant", (Text(candidate),))], answer=True).num_answer_tokens
        for candidate in candidates
    ]
    torch.testing.assert_close(model.score(messages, candidates, "mean"), total / torch.tensor(counts))
    torch.testing.assert_close(model.score(messages, candidates, "bytes"), total / torch.tensor([6, 8]))
    with pytest.raises(ValueError, match=r"'words' is unknown.*'sum', 'mean', 'bytes'"):
        model.score(messages, candidates, "words")


def test_what_cannot_be_scored_is_an_error(model: OmniModel) -> None:
    with pytest.raises(SampleError, match="a candidate is empty"):
        model.score(question(1), ["a", " "])
    with pytest.raises(ValueError, match="one length above 0"):
        model.score_batch([question(1), question(2)], [["a"], ["a", "b"]])
    with pytest.raises(SampleError, match="context is 512"):
        model.score(question(1), ["a frog " * 400])


def test_earlier_answers_do_not_count_where_the_template_rewrites_them(tmp_path: Path) -> None:
    model = tiny_model(tiny_llm_dir(tmp_path / "llm", chat_template=QWEN3))
    messages = CONVERSATIONS["several turns"]
    found = model.score(messages, CANDIDATES)
    torch.testing.assert_close(found, recomputed(model, messages, CANDIDATES), atol=1e-4, rtol=0)


def test_a_prompt_that_differs_from_the_training_layout_shares_less_and_scores_the_same(tmp_path: Path) -> None:
    template = QWEN3.replace("enable_thinking is false", "enable_thinking is none").replace(
        "{{ '<|im_start|>assistant\n' }}{% if enable", "{{ '<|im_start|>assistant\n<think>\nthe sound ' }}{% if enable"
    )
    model = tiny_model(tiny_llm_dir(tmp_path / "llm", chat_template=template))
    messages = CONVERSATIONS["image"]
    example = model.prepare([*messages, Message("assistant", (Text("a frog"),))], answer=True)
    prompt = model.prepare(messages)
    assert not torch.equal(example.token_ids[: len(prompt.token_ids)], prompt.token_ids)
    torch.testing.assert_close(
        model.score(messages, ["a frog"])[0], -model([example], num_answer_tokens=1).detach(), atol=1e-4, rtol=0
    )


def test_common_beginnings_of_candidates_are_one_path_of_the_tree() -> None:
    def suffix(*token_ids: int) -> Suffix:
        return Suffix(torch.tensor([*token_ids, 0, 9]), torch.tensor([*token_ids, 0, -100]))

    suffixes = [suffix(1, 2, 4), suffix(1, 2, 3), suffix(5), suffix(1, 2)]
    ((members, tree),) = grow_trees(suffixes, max_nodes=100)
    assert sorted(members) == [0, 1, 2, 3]
    assert sorted(tree.token_ids) == [1, 2, 3, 4, 5]  # the end token and what follows it need not be read
    node = tree.token_ids.index(3)
    seen = [tree.token_ids[i] for i in tree.ancestors()[node].nonzero().flatten().tolist()]
    assert sorted(seen) == [1, 2, 3]
    assert [token for _, token in tree.paths[members.index(1)]] == [1, 2, 3, 0]


@pytest.mark.starter
def test_smollm2_scores_equal_full_recompute() -> None:
    model = tiny_model(Path("starter:smollm2"), adapters={"image": {"class_path": "adapters.MLP"}})
    candidates = ["A stamp with a frog.", "A stamp with a frog on it.", "Cat", "No idea, sorry!"]
    found = model.score_batch([question(1), question(2, length=9, text="Name it.")], candidates)
    torch.testing.assert_close(found[0], recomputed(model, question(1), candidates), atol=1e-3, rtol=1e-5)
    expected = recomputed(model, question(2, length=9, text="Name it."), candidates)
    torch.testing.assert_close(found[1], expected, atol=1e-3, rtol=1e-5)


QUESTIONS = {
    "text": [question(1), question(2, "sound", length=23), question(3, text="is it a frog?")],
    "picture": [
        [Message("user", (sensor("image", 1), sensor("sound", seed, length), Text("the same?")))]
        for seed, length in ((2, 6), (3, 23), (4, 6))
    ],
}


@pytest.mark.parametrize("begins", QUESTIONS)
def test_a_beginning_that_runs_once_changes_no_score(
    model: OmniModel, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = torch.stack([recomputed(model, messages, CANDIDATES) for messages in QUESTIONS[begins]])
    assert model.llm.can_pad  # found out now, not among the calls
    assert model.llm.can_branch
    calls: list[tuple[int, ...]] = []
    monkeypatch.setitem(omni.model.prefix_cache._WORTH_A_CALL, "cpu", 1)
    with model.llm.model.register_forward_pre_hook(
        lambda _module, _inputs, options: calls.append(tuple(options["inputs_embeds"].shape[:2])), with_kwargs=True
    ):
        found = model.score_batch(QUESTIONS[begins], CANDIDATES)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert calls[0][0] == 1  # the beginning alone
    text_before_media = int((model.prepare(QUESTIONS[begins][0]).token_ids == MEDIA_SLOT).nonzero()[0])
    assert (calls[0][1] > text_before_media) == (begins == "picture")
    assert calls[1][0] == 3  # the rest of all


def test_a_beginning_runs_once_only_where_it_saves_more_than_a_call(
    model: OmniModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(omni.model.prefix_cache._WORTH_A_CALL, "cpu", 10_000)
    assert model.llm.can_pad
    assert model.llm.can_branch
    rows: list[int] = []
    with model.llm.model.register_forward_pre_hook(
        lambda _module, _inputs, options: rows.append(len(options["inputs_embeds"])), with_kwargs=True
    ):
        model.score_batch([question(1), question(2)], CANDIDATES)
    assert rows[0] == 2
