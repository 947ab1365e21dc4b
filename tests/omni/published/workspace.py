"""A folder with everything that can be imported, and the command with what tiny files need beside them."""

from collections.abc import Sequence
from pathlib import Path

from omni.__main__ import main
from tests.omni.published import checkpoints
from tests.tiny import tiny_llm_dir

EVA = f"size={checkpoints.EVA_SIZE}"
SETTINGS = {  # of the tiny encoders and of the tiny LLM, which has no </s>
    "image": [f"modalities.image.encoder.init_args.{EVA}", "modalities.image.encoder.init_args.image_size=28"],
    "video": [
        f"modalities.video.encoder.init_args.image_encoder.init_args.{EVA}",
        "modalities.video.encoder.init_args.image_encoder.init_args.image_size=28",
    ],
    "audio": [],
    "3d": [
        f"modalities.point_cloud.encoder.init_args.size={checkpoints.POINT_BERT_SIZE}",
        *(
            f"modalities.point_cloud.encoder.init_args.{one}"
            for one in ("num_points=64", "num_groups=8", "group_size=4")
        ),
    ],
}
PROMPT = ["prompt.start_token='<|endoftext|>'", "prompt.answer_end='<|im_end|>'"]
NAMES = {"image": "image", "video": "video", "audio": "sound", "3d": "point_cloud"}


class Files:
    """A folder with everything that can be imported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.llm = tiny_llm_dir(folder / "llm", context=2048)
        self.encoders = checkpoints.write_encoders(folder)
        self.bert = checkpoints.write_bert(folder / "bert")
        self.qformers = {
            label: checkpoints.save(
                checkpoints.x_instructblip("pc" if label == "3d" else label), folder / f"{label}.pth"
            )
            for label in NAMES
        }
        self.instructblip = checkpoints.save(checkpoints.blip("llm_proj", text=True), folder / "instruct_blip.pth")
        self.blip2 = checkpoints.save(checkpoints.blip("opt_proj", text=False), folder / "blip2.pth")

    def command(self, source: str, *files: object, settings: Sequence[str] = (), options: Sequence[str] = ()) -> int:
        """Run the command with the tiny LLM into `self.folder / "out"`, unless `options` say otherwise."""
        words = ["import", source, *map(str, files), "--instruction-tokenizer", str(self.bert)]
        words += [part for setting in [*settings, *PROMPT] for part in ("--set", setting)]
        if "--llm" not in options:
            words += ["--llm", str(self.llm)]
        return main([*words, *options])
