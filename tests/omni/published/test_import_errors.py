"""What `python -m omni import` says of files that do not fit: every tensor by name, and which file it is in."""

import pickle
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from omni.model import OmniModel
from tests.omni.published import checkpoints
from tests.omni.published.workspace import SETTINGS, Files
from tests.tiny import tiny_llm_dir

State = dict[str, Tensor]
LAYER = "audio_Qformer.bert.encoder.layer."


def failure(files: Files, capsys: pytest.CaptureFixture[str], *given: object, **options: object) -> str:
    """What the command says when it fails; nothing may have been written."""
    output = files.folder / "never"
    extra = ["--output", str(output), *options.pop("options", [])]  # pyright: ignore[reportGeneralTypeIssues]
    assert files.command(*given, options=extra, **options) == 1  # pyright: ignore[reportArgumentType]
    assert not output.exists()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    return said.err


def lose(state: State) -> None:
    del state["audio_ln.bias"]
    for name in [name for name in state if name.startswith(LAYER + "11.")]:
        del state[name]


def add(state: State) -> None:
    state[LAYER + "12.attention.self.key.bias"] = torch.ones(24)
    state["audio_Qformer.bert.pooler.dense.bias"] = torch.ones(24)


def reshape(state: State) -> None:
    state[LAYER + "4.output_query.dense.weight"] = torch.ones(24, 41)


def leave_unused(state: State) -> None:
    state |= {"temp": torch.ones(()), "itm_head.bias": torch.ones(2), "itm_head.weight": torch.ones(2, 24)}
    state |= checkpoints.x_instructblip("image")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lose,
            [
                "Q-Former of sound: 17 missing",
                "audio_ln.bias",
                LAYER + "11.attention.self.query.weight",
                LAYER + "11.intermediate_query.dense.bias",
                LAYER + "11.output_query.LayerNorm.weight",
            ],
        ),
        (
            add,
            [
                "Q-Former of sound: 2 unexpected",
                LAYER + "12.attention.self.key.bias",
                "audio_Qformer.bert.pooler.dense.bias",
            ],
        ),
        (
            reshape,
            [
                "Q-Former of sound: 1 of another shape",
                LAYER + "4.output_query.dense.weight is [24, 41] instead of [24, 40]",
            ],
        ),
        (
            leave_unused,
            [
                "itm_head: 2 unused\n    itm_head.bias\n    itm_head.weight",
                "temp: 1 unused",
                "Q-Former of image, which is not imported: 333 unused",
                "image_query_tokens",
                "image_Qformer.bert.encoder.layer.11.output.LayerNorm.bias",
                "--leave-out NAME",
            ],
        ),
    ],
)
def test_tensors_that_do_not_fit_are_all_listed(
    files: Files,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[State], None],
    expected: list[str],
) -> None:
    state = checkpoints.x_instructblip("audio")
    change(state)
    file = checkpoints.save(state, tmp_path / "changed.pth")
    said = failure(files, capsys, "x-instructblip", f"audio={file}", files.encoders["beats"])
    assert all(text in said for text in expected), said
    total = int(re.search(r"error: ([\d,]+) tensors do not fit", said)[1].replace(",", ""))  # pyright: ignore
    assert total == sum(line.startswith("    ") for line in said.splitlines())
    assert f"{file}, " in said


def test_problems_of_all_files_and_components_are_told_at_once(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, image = checkpoints.x_instructblip("audio"), checkpoints.x_instructblip("image")
    del sound["audio_query_tokens"], image["image_llm_proj.weight"]
    eva = torch.load(files.encoders["eva"])
    del eva["blocks.1.attn.qkv.weight"]
    eva["blocks.2.attn.k_bias"] = torch.ones(48)
    torch.save(eva, tmp_path / "eva.pth")
    given = [checkpoints.save(sound, tmp_path / "a.pth"), checkpoints.save(image, tmp_path / "i.pth")]
    said = failure(
        files,
        capsys,
        "x-instructblip",
        *given,
        tmp_path / "eva.pth",
        files.encoders["beats"],
        settings=SETTINGS["image"],
    )
    for line in (
        "error: 4 tensors do not fit",
        "a.pth, Q-Former of sound: 1 missing\n    audio_query_tokens",
        "i.pth, Q-Former of image: 1 missing\n    image_llm_proj.weight",
        "eva.pth, encoder of image: 1 missing\n    blocks.1.attn.qkv.weight",
        "eva.pth, encoder of image: 1 unexpected\n    blocks.2.attn.k_bias",
    ):
        assert line in said


def test_what_is_set_aside_must_be_there_and_then_is_reported(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = checkpoints.save(checkpoints.x_instructblip("audio") | {"temp": torch.ones(())}, tmp_path / "a.pth")
    given = ("x-instructblip", file, files.encoders["beats"])
    assert "--leave-out 'temperature' matches no tensor" in failure(
        files, capsys, *given, options=["--leave-out", "temperature"]
    )
    options = ["--leave-out", "temp", "--output", str(tmp_path / "model")]
    assert files.command(*given, options=options) == 0
    assert "left out: 1 set aside by --leave-out" in capsys.readouterr().out


class Spell:
    """What must never run when a file is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return subprocess.call, (["touch", str(self.trace)],)


def test_code_in_a_file_is_refused_and_not_run(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "it ran"
    torch.save({"model": checkpoints.x_instructblip("audio"), "hook": Spell(trace)}, tmp_path / "zip.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps({"model": Spell(trace)}, protocol=2))
    for name in ("zip.pth", "raw.pth"):
        said = failure(files, capsys, "x-instructblip", tmp_path / name, files.encoders["beats"])
        assert name in said
        assert not trace.exists()
    torch.save({"model": checkpoints.x_instructblip("audio"), "hook": Spell(trace)}, tmp_path / "zip.pth")
    assert "could run code" in failure(files, capsys, "x-instructblip", tmp_path / "zip.pth", files.encoders["beats"])


def write_broken(folder: Path, files: Files) -> dict[str, str]:
    """Name -> what must be said of it."""
    whole = files.qformers["audio"].read_bytes()
    (folder / "truncated.pth").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.pth").write_bytes(b"")
    (folder / "page.pth").write_bytes(b"<html>404</html>")
    (folder / "pointer.pth").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0")
    (folder / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    torch.save([1, 2], folder / "list.pth")
    torch.save({"model": {"a": torch.ones(2), "b": "text"}}, folder / "text.pth")
    save_file({"a": torch.ones(2), "b": torch.ones(2)}, folder / "other.safetensors")
    broken = dict.fromkeys(
        ("truncated.pth", "empty.pth", "page.pth", "pointer.pth", "cut.safetensors"), "damaged or no file of weights"
    )
    return broken | {
        "list.pth": "holds a list, not a state dict",
        "text.pth": "holds more than tensors: b",
        "other.safetensors": r"none of the files that can be imported .* \['a', 'b'\]",
        "nowhere.pth": "is not there",
        ".": "is a folder, not a file",
    }


def test_broken_and_wrong_files_are_told_apart(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, expected in write_broken(tmp_path, files).items():
        said = failure(files, capsys, "x-instructblip", f"audio={tmp_path / name}", files.encoders["beats"])
        assert re.search(expected, said), (name, said)


def test_adapters_of_another_llm_are_refused_with_both_widths(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = checkpoints.save(checkpoints.x_instructblip("audio", llm_dim=40), tmp_path / "wide.pth")
    said = failure(files, capsys, "x-instructblip", file, files.encoders["beats"])
    assert f"{files.llm} reads tokens of width 32" in said
    assert "wide.pth (40)" in said
    said = failure(
        files, capsys, "x-instructblip", file, files.encoders["beats"], options=["--llm", str(tmp_path / "no-llm")]
    )
    assert "--llm: there is no folder" in said


def test_an_encoder_of_another_width_is_refused_with_both(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = checkpoints.x_instructblip("audio")
    narrowed = re.compile(r"audio_ln|.*\.crossattention\.self\.(key|value)\.weight")
    state |= {name: value[..., :44].contiguous() for name, value in state.items() if narrowed.match(name)}
    said = failure(
        files, capsys, "x-instructblip", checkpoints.save(state, tmp_path / "a.pth"), files.encoders["beats"]
    )
    assert "reads features of width 44, but its encoder, BeatsEncoder, gives width 48" in said


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["x-instructblip", "smell={audio}", "{beats}"], "unknown modality or encoder 'smell'; known: image, video"),
        (["x-instructblip", "image={audio}", "{eva}"], r"image=.*: it holds the Q-Former of audio"),
        (["x-instructblip", "audio={beats}"], "audio=.*: expected a X-InstructBLIP checkpoint, but it is a BEATs file"),
        (["x-instructblip", "beats={audio}"], "beats=.*: expected a BEATs file, but it is a X-InstructBLIP checkpoint"),
        (["x-instructblip", "{audio}"], "sound needs its encoder's own file, BEATs_iter3_plus_AS2M.pt"),
        (["x-instructblip", "{audio}", "{audio}", "{beats}"], "audio is in .*audio.pth and in .*audio.pth"),
        (["x-instructblip", "{audio}", "{beats}", "{beats}"], "several files are each a BEATs file"),
        (["x-instructblip", "{beats}"], "no checkpoint of X-InstructBLIP is among the files"),
        (
            ["x-instructblip", "{blip2}", "{eva}"],
            "is a BLIP-2 or InstructBLIP checkpoint.*X-InstructBLIP has no use for",
        ),
        (["x-instructblip", "{audio}", "{beats}", "{eva}"], "blocks: .* unused"),
        (["instructblip", "{audio}", "{eva}"], "is a X-InstructBLIP checkpoint, which InstructBLIP has no use for"),
        (["instructblip", "{eva}"], "no checkpoint of InstructBLIP is among the files"),
        (["instructblip", "{instructblip}"], "image needs its encoder's own file, eva_vit_g.pth"),
        (["instructblip", "{blip2}", "{eva}"], "projects by opt_proj; a InstructBLIP does by llm_proj"),
        (["instructblip", "sound={instructblip}", "{eva}"], "labels are image .* and eva"),
        (["blip2", "{t5}", "{eva}"], "made for Flan-T5, an encoder-decoder"),
        (["blip2", "{stage1}", "{eva}"], "first stage, which has no projection.*init_adapters"),
    ],
)
def test_files_in_the_wrong_place_are_named(
    files: Files, capsys: pytest.CaptureFixture[str], given: list[str], expected: str
) -> None:
    text = checkpoints.blip("t5_proj", text=True)
    places = {name: str(path) for name, path in (files.qformers | files.encoders).items()}
    places |= {"blip2": str(files.blip2), "instructblip": str(files.instructblip)}
    places["t5"] = str(checkpoints.save(text, files.folder / "t5.pth"))
    stage_1 = {name: w for name, w in text.items() if "t5_proj" not in name} | {"itm_head.bias": torch.ones(2)}
    places["stage1"] = str(checkpoints.save(stage_1, files.folder / "stage1.pth"))
    said = failure(files, capsys, *(word.format(**places) for word in given))
    assert re.search(expected, said, re.DOTALL), said


@pytest.mark.parametrize(
    ("settings", "options", "expected"),
    [
        (["modalities.sound.ceu=x"], [], r"model.modalities.sound.ceu: unknown key; did you mean 'cue'"),
        (["modalities.smell.cue=x"], [], r"modalities.smell.encoder is missing"),
        (["llm.dtype"], [], "write KEY=VALUE"),
        (["llm.dtype.x=1"], [], "dtype is 'float32', which has no keys"),
        (["llm.name=[x"], [], "is no YAML value"),
        (["modalities.sound.encoder.init_args.max_seconds=1"], [], "it must be at least one window"),
        (["modalities.sound.adapter.class_path=adapters.Linear"], [], "Linear takes no"),
        ([], ["--instruction-tokenizer", "{llm}"], r"has \d+ tokens, but the Q-Former 31"),
        ([], ["--instruction-tokenizer", "{llm}/none"], "--instruction-tokenizer: there is no folder .*none"),
        (["prompt.start_token=</s>"], [], "'</s>' is not one token of this LLM's tokenizer"),
    ],
)
def test_wrong_settings_are_named(
    files: Files, capsys: pytest.CaptureFixture[str], settings: list[str], options: list[str], expected: str
) -> None:
    given = (files.qformers["audio"], files.encoders["beats"])
    words = [word.format(llm=files.llm) for word in options]
    said = failure(files, capsys, "x-instructblip", *given, settings=[], options=[*words, *_set(settings)])
    assert re.search(expected, said, re.DOTALL), said


def _set(settings: list[str]) -> list[str]:
    """After the tiny LLM's own settings, so that these win."""
    return [part for setting in settings for part in ("--set", setting)]


def test_a_folder_that_is_there_is_only_replaced_when_asked_and_then_in_one_step(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model"
    given = ("x-instructblip", files.qformers["audio"], files.encoders["beats"])
    options = ["--output", str(output)]
    assert files.command(*given, options=options) == 0
    before = (output / "adapter.safetensors").read_bytes()
    assert files.command(*given, options=options) == 1
    assert f"{output} is there already; name another --output, or replace it by --overwrite" in capsys.readouterr().err
    other = checkpoints.x_instructblip("audio")
    other["audio_ln.bias"] += 1
    changed = ("x-instructblip", checkpoints.save(other, tmp_path / "b.pth"), files.encoders["beats"])
    assert files.command(*changed, options=[*options, "--overwrite"]) == 0
    assert (output / "adapter.safetensors").read_bytes() != before
    (output / "notes.txt").write_text("mine")
    assert files.command(*changed, options=[*options, "--overwrite"]) == 1
    assert "also holds ['notes.txt']" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert OmniModel.load(output).modality("sound").adapter.uses_instruction


def test_a_second_import_gives_identical_bytes(files: Files, tmp_path: Path) -> None:
    given = ("x-instructblip", files.qformers["audio"], files.encoders["beats"])
    for name in ("a", "b"):
        assert files.command(*given, options=["--output", str(tmp_path / name)]) == 0
    for name in ("adapter.safetensors", "config.yaml", "README.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_llm_may_not_change_after_the_import(files: Files, tmp_path: Path) -> None:
    llm = tiny_llm_dir(tmp_path / "llm", context=2048)
    options = ["--output", str(tmp_path / "model"), "--llm", str(llm)]
    assert files.command("x-instructblip", files.qformers["audio"], files.encoders["beats"], options=options) == 0
    tiny_llm_dir(llm, seed=1, context=2048)
    with pytest.raises(ValueError, match="adapters work with their own LLM only"):
        OmniModel.load(tmp_path / "model")
