"""A real vLLM answers as `OmniModel.generate` does, with a LoRA a request or merged ones; `make test-engines`."""

import os
from pathlib import Path

import pytest
import torch

from omni.answering import Finished, Piece, Sampling
from omni.answering.engine import EngineError, VLLMAnswering
from omni.exporting.merged_llm import export_merged_llm
from omni.samples.sample import SampleError, TooLongError
from tests.omni.answering.engine.servers import LORA, conversations, llm_folder, load, model_folder, serving

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1500)]
SIX = conversations(["image"], ["sound"], [], ["image", "image"], ["sound", "sound"], ["image"])
MULTI_TURN = [*SIX[0], {"role": "assistant", "content": "a frog"}, {"role": "user", "content": "what was heard in it?"}]


def test_a_lora_for_each_request(tmp_path: Path) -> None:
    llm = llm_folder(tmp_path / "llm")
    folder = model_folder(llm, tmp_path / "model", LORA | {"mode": "per_modality"})
    loras = [f"{name}={folder / 'lora' / name}" for name in ("image", "sound")]
    words = ["--enable-prompt-embeds", "--max-model-len", "256", "--enable-lora", "--max-lora-rank", "8"]
    # one place more than there are LoRAs: on a CPU, vLLM 0.32 takes the last place for requests without one. And
    # around the table of embeddings, vLLM's LoRA would end the engine as soon as a batch has both tokens and embeddings
    words += ["--lora-target-modules", *LORA["target_modules"]]
    with serving(llm, *words, "--max-loras", "3", "--lora-modules", *loras, log=tmp_path / "log") as (url, process):
        model, alone = load(folder), load(folder)
        expected = [alone.generate(one, max_new_tokens=20) for one in [*SIX, MULTI_TURN]]
        assert len({*expected}) > 3
        with VLLMAnswering(model, url) as answering:
            answers = [answering.submit(one, Sampling(max_new_tokens=20)) for one in [*SIX, MULTI_TURN]]
            assert [answer.text() for answer in answers] == expected

            # streaming, in pieces that make up the whole, with its counts
            events: list[Piece | Finished | Exception] = []
            answer = answering.submit(SIX[0], Sampling(max_new_tokens=20), on_event=events.append)
            pieces = [piece.text for piece in answer]
            assert "".join(pieces) == expected[0]
            assert len(pieces) > 3
            done = answer.finished()
            (embedded,) = alone.embed_examples([alone.prepare(SIX[0])])
            assert (done.prompt_tokens, done.media_tokens, done.cached_media) == (len(embedded.labels), (6,), 1)
            assert events[-1] == done

            # stop strings, likelihoods, seeds
            stop = expected[0][5:8]
            assert answering.submit(SIX[0], Sampling(20, stop=(stop,))).text() == expected[0].split(stop)[0].rstrip()
            found = [*answering.submit(SIX[0], Sampling(4, top_logprobs=3))]
            tokens = [token for piece in found for token in piece.tokens]
            assert all(len(token.top) == 3 and token.top[0][0] == token.token_id for token in tokens)
            (row,) = alone.embed_examples([alone.prepare(SIX[0])])
            alone.llm.activate_lora(["image"])
            with torch.no_grad():
                logits = alone.llm(row.embeds[None], 1, use_cache=False).logits[0, -1]
            assert abs(tokens[0].logprob - logits.log_softmax(-1).max().item()) < 1e-3
            sampled = [answering.submit(SIX[1], Sampling(12, temperature=1.0, seed=3)).text() for _ in range(2)]
            assert sampled[0] == sampled[1]

            # what stays here
            torch.testing.assert_close(
                answering.score(SIX[0], ["a frog", "a dog"]), alone.score(SIX[0], ["a frog", "a dog"])
            )
            torch.testing.assert_close(answering.embed(SIX[1]), alone.embed(SIX[1]))
            beams = answering.submit(SIX[0], Sampling(6, num_beams=2)).text()
            assert beams == alone.generate(SIX[0], max_new_tokens=6, num_beams=2)

            # refusals, each on its own answer
            both = conversations(["image", "sound"])[0]
            with pytest.raises(EngineError, match=r"no LLM with the LoRA of image and sound.*merged-llm --modalities"):
                answering.submit(both).text()
            long = [{"role": "user", "content": [{"type": "text", "text": "frog " * 250}]}]
            with pytest.raises(TooLongError, match=r"in the 256 that the engine reads"):
                answering.submit(long).text()
            with pytest.raises(SampleError, match="unknown modality"):
                answering.submit([{"role": "user", "content": [{"type": "depth", "data": [1]}]}]).text()
            with pytest.raises(SampleError, match="repetition_penalty"):
                answering.submit(SIX[0], Sampling(repetition_penalty=1.2))
            gone = answering.submit(SIX[0], Sampling(200))
            gone.cancel()
            assert gone.finished().reason == "cancelled"
            late = answering.submit(SIX[2], Sampling(200), timeout=0.0)
            assert late.finished().reason == "timeout"
            assert answering.statistics().running == answering.statistics().waiting == 0

            # another LLM
            other = llm_folder(tmp_path / "other")
            from transformers import LlamaForCausalLM

            changed = LlamaForCausalLM.from_pretrained(other)
            torch.nn.init.normal_(changed.model.layers[0].mlp.up_proj.weight)
            changed.save_pretrained(other)
            stranger = load(model_folder(other, tmp_path / "stranger", None))
            with pytest.raises(EngineError, match="none of it computes what the model's LLM does"):
                VLLMAnswering(stranger, url)

            # the engine is lost while it answers, and stays so
            running = answering.submit(SIX[0], Sampling(220))
            next(iter(running))
            os.killpg(process.pid, 9)
            with pytest.raises(EngineError, match=r"lost|ended in the middle|failed"):
                running.finished()
            with pytest.raises(EngineError, match="cannot be reached"):
                answering.submit(SIX[0]).text()


def test_a_merged_folder_and_an_engine_that_takes_no_embeddings(tmp_path: Path) -> None:
    llm = llm_folder(tmp_path / "llm")
    folder = model_folder(llm, tmp_path / "model", LORA | {"mode": "per_modality"})
    export_merged_llm(load(folder), tmp_path / "merged", ["image", "sound"])
    both = conversations(["image", "sound"], ["sound", "image", "image"])
    with serving(tmp_path / "merged", "--enable-prompt-embeds", log=tmp_path / "log") as (url, _):
        with VLLMAnswering(load(folder), url) as answering:
            answers = [answering.submit(one, Sampling(20)).text() for one in both]
            with pytest.raises(EngineError, match="no LLM with the LoRA of image:"):
                answering.submit(SIX[0]).text()
        assert answers == [load(folder).generate(one, max_new_tokens=20) for one in both]
