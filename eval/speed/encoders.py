"""`python -m eval.speed encoders`: ImageBind's trunks next to a plain stack of `nn.MultiheadAttention`.

Both have the same random weights and take the same clips; they take turns, round by round, and medians are compared,
since other work on the machine slows both alike. Their embeddings must agree before anything is timed.
Shapes: B clips, N tokens, D width, E width of the joint space.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from omni.encoders.imagebind.blocks import Block
from omni.encoders.imagebind.network import ImageBindNetwork
from omni.encoders.imagebind.sizes import ImageBindSizes, TrunkSize
from omni.encoders.imagebind.stems import CLIP_SHAPES, CONTEXT_LENGTH, VOCABULARY_SIZE

LARGEST_DIFFERENCE = 1e-4  # between embeddings of unit length, float32
CAPTION_TOKENS = (8, 20)  # begin and end included: lengths of usual captions, drawn evenly


class PlainBlock(nn.Module):
    """A block as ImageBind's authors wrote it: `nn.MultiheadAttention` without weights returned, `nn.GELU`."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        attention = block.attn
        width = attention.out_proj.in_features
        self.norm_1, self.norm_2 = block.norm_1, block.norm_2
        with torch.device("meta"):  # it takes over the block's own weights, which are large
            self.attention = nn.MultiheadAttention(width, attention.num_heads, add_bias_kv=attention.bias_k is not None)
        self.attention.load_state_dict(attention.state_dict(), assign=True)
        self.mlp = nn.Sequential(block.mlp.fc1, nn.GELU(), block.mlp.fc2)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """[N, B, D] -> [N, B, D]."""
        normed = self.norm_1(tokens)
        tokens = tokens + self.attention(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        return tokens + self.mlp(self.norm_2(tokens))


class PlainTrunk(nn.Module):
    """Stem, plain blocks and head of one trunk, over all tokens, with the weights of `network`."""

    def __init__(self, network: ImageBindNetwork, trunk: str) -> None:
        super().__init__()
        self.network, self.trunk = network, trunk
        shared = network.modality_trunks[trunk]
        self.pre_norm = shared.get_submodule("pre_transformer_layer")
        blocks = [block for block in shared.modules() if isinstance(block, Block)]
        self.blocks = nn.ModuleList(PlainBlock(block) for block in blocks)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips -> embeddings before they are normalised [B, E]."""
        tokens = self.pre_norm(self.network.stem(self.trunk, clips)).transpose(0, 1)
        mask = None
        if self.trunk == "text":
            mask = nn.Transformer.generate_square_subsequent_mask(CONTEXT_LENGTH, dtype=tokens.dtype)
        for block in self.blocks:
            tokens = block(tokens, mask)
        position = clips.argmax(dim=1) if self.trunk == "text" else torch.zeros(len(clips), dtype=torch.long)
        pooled = tokens[position, torch.arange(len(clips))]
        return self.network.modality_heads[self.trunk](pooled)


@dataclass
class TrunkSpeed:
    """The speed of one trunk, next to its plain twin."""

    trunk: str
    clips: int
    plain_seconds: float  # medians over rounds
    seconds: float
    speedup: float  # median over rounds of the ratio within a round
    difference: float  # the largest between embeddings of unit length


def measure_trunk(trunk: str, size: TrunkSize, batch_size: int, rounds: int) -> TrunkSpeed:
    """Time one trunk against its plain twin.

    Raises:
        ValueError: the two do not give the same embeddings, so their times cannot be compared.
    """
    torch.manual_seed(0)
    sizes = replace(ImageBindSizes(), **{trunk: size})
    network = random_weights(ImageBindNetwork(sizes, [trunk]))
    plain = PlainTrunk(network, trunk).eval().requires_grad_(False)
    clips = example_clips(trunk, batch_size)
    contenders: tuple[Callable[[], Tensor], ...] = (lambda: plain(clips), lambda: network.head(trunk, clips))
    seconds: tuple[list[float], list[float]] = ([], [])
    with torch.no_grad():
        expected, actual = (nn.functional.normalize(run(), dim=-1) for run in contenders)  # warms up, too
        difference = float((expected - actual).abs().max())
        if difference > LARGEST_DIFFERENCE:
            raise ValueError(f"{trunk}: embeddings differ by {difference:.1e}, so the times cannot be compared")
        for _ in range(rounds):
            for run, times in zip(contenders, seconds, strict=True):
                started = time.perf_counter()
                run()
                times.append(time.perf_counter() - started)
    ratios = [before / after for before, after in zip(*seconds, strict=True)]
    plain_median, median = (statistics.median(times) for times in seconds)
    return TrunkSpeed(trunk, batch_size, plain_median, median, statistics.median(ratios), difference)


def random_weights(network: ImageBindNetwork) -> ImageBindNetwork:
    """Give all weights random values of a usual size."""
    for name, value in network.state_dict().items():
        if name.endswith((".mask", "log_logit_scale")):
            value.zero_()
        elif value.ndim == 1:
            value.normal_(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.02)
        else:
            value.normal_(0.0, 0.02)
    return network.eval().requires_grad_(False)


def example_clips(trunk: str, batch_size: int) -> Tensor:
    """Return clips of noise, or texts of usual lengths, filled up to 77 tokens as CLIP's tokenizer does."""
    if trunk != "text":
        return torch.randn(batch_size, *CLIP_SHAPES[trunk])
    token_ids = torch.zeros(batch_size, CONTEXT_LENGTH, dtype=torch.long)
    for row in token_ids:
        length = int(torch.randint(CAPTION_TOKENS[0], CAPTION_TOKENS[1] + 1, ()))
        row[0], row[length - 1] = VOCABULARY_SIZE - 2, VOCABULARY_SIZE - 1
        row[1 : length - 1] = torch.randint(1000, VOCABULARY_SIZE - 2, (length - 2,))
    return token_ids


def table(found: Sequence[TrunkSpeed]) -> str:
    """Return a Markdown table, with the sum over all trunks in the last row."""
    lines = ["| trunk | clips | plain, clips/s | omni, clips/s | times plain |", "|---|---|---|---|---|"]
    for one in found:
        rates = f"{one.clips / one.plain_seconds:.2f} | {one.clips / one.seconds:.2f}"
        lines.append(f"| {one.trunk} | {one.clips} | {rates} | {one.speedup:.2f} |")
    plain, ours = sum(one.plain_seconds for one in found), sum(one.seconds for one in found)
    clips = sum(one.clips for one in found)
    lines.append(f"| all | {clips} | {clips / plain:.2f} | {clips / ours:.2f} | {plain / ours:.2f} |")
    return "\n".join(lines)


def run(options: argparse.Namespace) -> None:
    """Measure and print the table."""
    for name in ("batch_size", "rounds"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} is {getattr(options, name)}, but must be at least 1")
    found = []
    for trunk in options.trunks:
        size = ImageBindSizes().trunk(trunk)
        num_blocks = min(options.blocks or size.num_blocks, size.num_blocks)
        size = TrunkSize(size.width, num_blocks, size.num_heads)
        found.append(measure_trunk(trunk, size, options.batch_size, options.rounds))
        print(f"{trunk}: {found[-1].speedup:.2f} times the plain stack", file=sys.stderr, flush=True)
    print(f"float32, {torch.get_num_threads()} thread(s), medians of {options.rounds} rounds in turn.\n")
    print(table(found))
