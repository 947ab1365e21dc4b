"""The converted weights load with the ordinary classes and do what their models are known for."""

import csv
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import soxr
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperModel,
)

from omni.starter.weights_smollm2 import _half_split_rotary
from omni.starter.weights_whisper import read_variables
from omni.starter.weights_yamnet import remove_rounding
from tests.omni.starter.test_starter_data import fetched, rows


def test_rotary_rows_move_from_pairs_to_halves() -> None:
    rows_of_two_heads = np.arange(8, dtype=np.float32)[:, None]  # per head: pairs (0, 1), (2, 3)
    assert _half_split_rotary(rows_of_two_heads, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_ctranslate2_variables_are_read_as_written(tmp_path: Path) -> None:
    def name(text: str) -> bytes:
        return (len(text) + 1).to_bytes(2, "little") + text.encode() + b"\0"

    values = np.arange(6, dtype="<f2").reshape(2, 3)
    number = (1).to_bytes(4, "little")
    header = (6).to_bytes(4, "little") + name("WhisperSpec") + (3).to_bytes(4, "little") + number
    shape = b"\x02" + (2).to_bytes(4, "little") + (3).to_bytes(4, "little")
    file = tmp_path / "model.bin"
    file.write_bytes(header + name("a/weight") + shape + b"\x04" + (12).to_bytes(4, "little") + values.tobytes())
    (read,) = read_variables(file).values()
    assert read.dtype == np.float16
    assert read.tolist() == values.tolist()
    file.write_bytes((5).to_bytes(4, "little"))
    with pytest.raises(ValueError, match="version 5"):
        read_variables(file)


def test_rounding_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """x -> round to 8 bits -> twice, with an 8-bit input and output, becomes x -> twice in float."""
    scale, zero = numpy_helper.from_array(np.float32(0.5), "s"), numpy_helper.from_array(np.uint8(0), "z")
    two = numpy_helper.from_array(np.float32(2), "two")
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["xf"]),
        helper.make_node("Mul", ["xf", "two"], ["yf"]),
        helper.make_node("QuantizeLinear", ["yf", "s", "z"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.UINT8, [1]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [scale, zero, two])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    remove_rounding(model)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert session.run(["y"], {"x": np.array([0.3], np.float32)})[0].tolist() == pytest.approx([0.6])


@pytest.mark.starter
def test_smollm2_answers_a_question_with_tied_embeddings() -> None:
    folder = fetched("smollm2")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    assert getattr(model.config, "quantization_config", None) is None
    question = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])
    assert output[0, -1] == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")


@pytest.mark.starter
def test_smollm2_tokenizer_round_trips_and_splits_digits() -> None:
    tokenizer = AutoTokenizer.from_pretrained(fetched("smollm2"))
    text = "I've  1234 caf\u00e9s \u65e5\u672c \U0001f438\n<|im_end|>"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.tokenize("1234") == ["1", "2", "3", "4"]


@pytest.mark.starter
def test_efficientnet_keeps_the_ports_keys() -> None:
    folder = fetched("efficientnet-lite0")
    state = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    learned = [tensor for key, tensor in state.items() if not key.endswith(("mean", "var", "tracked"))]
    assert sum(tensor.numel() for tensor in learned) == 4_652_008  # the published 4.65 M
    num_blocks = sum(stage["repeats"] for stage in config["stages"])
    assert f"_blocks.{num_blocks - 1}._project_conv.weight" in state
    assert f"_blocks.{num_blocks}._project_conv.weight" not in state
    assert state["_fc.weight"].shape == (config["num_classes"], config["feature_dim"])


@pytest.mark.starter
def test_yamnet_hears_a_fire_truck_and_batches_exactly() -> None:
    folder = fetched("yamnet")
    config = json.loads((folder / "config.json").read_text())
    session = onnxruntime.InferenceSession(folder / config["model"])
    samples, rate = soundfile.read(fetched("stamps") / "media/vehicles/emergency/firetruck.ogg", always_2d=True)
    clips = log_mel_clips(soxr.resample(samples.mean(1), rate, config["sampling_rate"]), config)
    outputs = [config["feature_output"], config["class_output"]]
    features, scores = session.run(outputs, {config["input"]: clips})
    assert features.shape == (len(clips), 1024, 3, 2)
    with (folder / config["class_map"]).open() as file:
        names = [row["display_name"] for row in csv.DictReader(file)]
    heard = {names[index] for index in np.argsort(-scores.mean(0))[:6]}
    assert heard & {"Siren", "Emergency vehicle", "Fire engine, fire truck (siren)", "Vehicle horn, car horn, honking"}
    singly = np.concatenate([session.run(outputs[:1], {config["input"]: clip[None]})[0] for clip in clips])
    np.testing.assert_allclose(features, singly, atol=1e-5)


def log_mel_clips(samples: np.ndarray, config: dict) -> np.ndarray:
    """YAMNet's input [clips, 1, 96, 64] from the numbers of its config alone (HTK mel scale)."""
    rate = config["sampling_rate"]
    window, hop = (round(config[key] * rate) for key in ("window_seconds", "hop_seconds"))

    def mel(frequency: np.ndarray | float) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)

    bins = mel(np.linspace(0, rate / 2, config["fft_size"] // 2 + 1))[:, None]
    edges = np.linspace(mel(config["mel_min_hz"]), mel(config["mel_max_hz"]), config["num_mel_bands"] + 2)
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    bands = np.maximum(0, np.minimum(rising, falling))
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop] * np.hanning(window + 1)[:-1]
    spectrum = np.abs(np.fft.rfft(frames, config["fft_size"]))
    logarithm = np.log(spectrum @ bands + config["log_offset"]).astype(np.float32)
    whole = len(logarithm) // config["clip_frames"]
    return logarithm[: whole * config["clip_frames"]].reshape(whole, 1, config["clip_frames"], -1)


@pytest.mark.starter
def test_whisper_transcribes_a_prompt_it_was_rebuilt_for() -> None:
    folder = fetched("whisper-tiny.en")
    model, report = WhisperForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    wanted = "asterisk/cannot-complete-as-dialed"
    (row,) = (row for row in rows("asterisk", "speech-train") + rows("asterisk", "speech-test") if row["id"] == wanted)
    samples, rate = soundfile.read(fetched("asterisk") / row["meta"]["speech"], dtype="float32")
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    inputs = extractor(soxr.resample(samples, rate, 16000), sampling_rate=16000, return_tensors="pt").input_features
    tokens = model.generate(inputs, max_new_tokens=20)
    heard = AutoTokenizer.from_pretrained(folder).decode(tokens[0], skip_special_tokens=True)
    assert heard.strip() == row["meta"]["transcript"] == "Your call cannot be completed as dialed."
    encoder = WhisperModel.from_pretrained(folder).encoder
    assert encoder(inputs).last_hidden_state.shape == (1, 1500, 384)


@pytest.mark.starter
def test_minilm_puts_a_frog_nearer_to_a_toad_than_to_a_truck() -> None:
    folder = fetched("minilm")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    assert len(tokenizer) == 30522
    batch = tokenizer(["a frog", "a toad", "a truck"], padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    weights = batch["attention_mask"][..., None]
    means = torch.nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)
    assert means[0] @ means[1] > means[0] @ means[2] + 0.3
