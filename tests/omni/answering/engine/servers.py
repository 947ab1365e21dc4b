"""A real vLLM server on this machine, and small models that it can serve."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from omni.model import OmniModel
from tests.documents import REPOSITORY
from tests.tiny import MLP, recording, tiny_model, tiny_tokenizer

_SECONDS = 500  # a start on a busy machine
LORA = {"r": 4, "target_modules": ["q_proj", "v_proj", "down_proj"]}


def vllm_program() -> Path:
    """Where vLLM is; the test is skipped where there is none."""
    found = Path(os.environ.get("OMNI_VLLM", REPOSITORY / f"{os.environ.get('VENV', '.venv')}-vllm" / "bin" / "vllm"))
    if not found.is_file():
        pytest.skip(f"there is no {found}: make engines")
    return found


def llm_folder(folder: Path) -> Path:
    """A random Llama whose heads are of a width that vLLM's kernels for CPUs have."""
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def model_folder(llm: Path, folder: Path, lora: dict[str, Any] | None) -> Path:
    """A model with two modalities, whose LoRAs do something."""
    model = tiny_model(llm, adapters={"image": MLP, "sound": MLP}, lora=lora)
    for name, weight in model.trainable_parameters().items():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.4)
    model.save(folder)
    return folder


def conversations(*kinds: Sequence[str]) -> list[list[dict[str, Any]]]:
    """A question about media of each of `kinds`."""
    found = []
    for index, names in enumerate(kinds):
        media = [{"type": name, "data": recording(7 * index + place)} for place, name in enumerate(names)]
        found.append([{"role": "user", "content": [*media, {"type": "text", "text": "what is this?"}]}])
    return found


@contextmanager
def serving(folder: Path, *words: str, log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A vLLM server of an LLM's folder: its address, and its process."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
    command = [str(vllm_program()), "serve", str(folder), "--dtype", "float32", "--enforce-eager", *words]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env=os.environ | settings, cwd=log.parent, start_new_session=True
        )
        try:
            _wait(url, process, log)
            yield url, process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise AssertionError(f"vLLM did not start: {log.read_text()[-3000:]}")


def load(folder: Path) -> OmniModel:
    return OmniModel.load(folder, trust_code=True)
