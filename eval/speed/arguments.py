"""The command line of `python -m eval.speed`, which needs nothing that takes long to import."""

import argparse
from pathlib import Path

SHAPE_NAMES = ("eva-vicuna-image", "eva-vicuna-video", "starter", "tiny")  # those of eval.speed.shapes.SHAPES
DTYPE_NAMES = ("bfloat16", "float32")  # those of eval.speed.shapes.DTYPES
TRUNK_NAMES = ("vision", "text", "audio", "depth", "thermal", "imu")  # omni.encoders.imagebind.TRUNKS
RANKING_SHAPES = ("eva-vicuna", "starter", "tiny")  # those of eval.speed.ranking_shapes


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; `command` is the measurement."""
    parser = argparse.ArgumentParser(prog="python -m eval.speed", description="Measure speed and memory.")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="a training step, one saving after another, beside a plain loop")
    train.add_argument("--shape", choices=SHAPE_NAMES, default="starter", help="model and data (default: starter)")
    train.add_argument("--dtype", choices=DTYPE_NAMES, help="of all weights (default: float32; bfloat16 on a GPU)")
    train.add_argument("--batch_size", type=int, help="samples of a step (default: the shape's own)")
    train.add_argument("--steps", type=int, default=4, help="steps of a round (default: 4)")
    train.add_argument("--rounds", type=int, default=5, help="times that all contenders take turns (default: 5)")
    train.add_argument("--no_compile", action="store_true", help="leave out torch.compile, which takes minutes")
    train.add_argument("--profile", action="store_true", help="also say where the time of the last contender goes")
    train.add_argument("--output", type=Path, default=Path("runs/speed"), help="folder (default: runs/speed)")
    encoders = commands.add_parser("encoders", help="ImageBind's trunks beside a plain stack of nn.MultiheadAttention")
    encoders.add_argument(
        "--trunks", nargs="+", choices=TRUNK_NAMES, default=list(TRUNK_NAMES), help="default: all six"
    )
    encoders.add_argument("--batch_size", type=int, default=4, help="clips in one pass (default: 4)")
    encoders.add_argument("--rounds", type=int, default=5, help="times that both take turns (default: 5)")
    encoders.add_argument("--blocks", type=int, help="of each trunk (default: all; fewer take less time)")
    cache = commands.add_parser("cache", help="features of the starter pictures: the encoder beside the feature cache")
    cache.add_argument("--pictures", type=int, default=64, help="number of pictures (default: 64)")
    cache.add_argument("--rounds", type=int, default=5, help="times that both take turns (default: 5)")
    ranking = commands.add_parser("ranking", help="likelihoods of labels: a shared prefix beside a repeated one")
    ranking.add_argument("--shape", choices=RANKING_SHAPES, default="starter", help="model (default: starter)")
    ranking.add_argument("--rounds", type=int, default=3, help="times that both take turns (default: 3)")
    ranking.add_argument("--most", type=int, default=10_000, help="of the labels whose memory is shown")
    ranking.add_argument("--output", type=Path, default=Path("runs/speed"), help="folder (default: runs/speed)")
    files = commands.add_parser("decoding", help="ordinary files of every kind: CPU time, next to another checkout")
    files.add_argument("--against", type=Path, help="another checkout of omni, such as a git worktree")
    files.add_argument("--rounds", type=int, default=5, help="times that each file is decoded by each (default: 5)")
    files.add_argument("--seconds", type=float, default=0.3, help="CPU seconds of one turn (default: 0.3)")
    files.add_argument("--files", nargs="+", help="names of files, or parts of them (default: all)")
    serving = commands.add_parser("serving", help="a running batch beside one at a time and `transformers serve`")
    serving.add_argument("--model", type=Path, help="folder of a trained model (default: that of the shape)")
    serving.add_argument("--shape", choices=RANKING_SHAPES, default="starter", help="model (default: starter)")
    serving.add_argument("--questions", type=int, default=16, help="texts that are asked in a round (default: 16)")
    serving.add_argument("--at_once", type=int, nargs="+", default=[1, 4, 16], help="under way (default: 1 4 16)")
    serving.add_argument("--tokens", type=int, default=64, help="the most of an answer (default: 64)")
    serving.add_argument("--rounds", type=int, default=1, help="times that all take turns (default: 1)")
    serving.add_argument("--no_transformers", action="store_true", help="leave out `transformers serve`")
    serving.add_argument("--output", type=Path, default=Path("runs/speed"), help="folder (default: runs/speed)")
    return parser
