"""Encode the media of a data set into a feature cache, with many processes on one or many machines, by Ray Data.

    python encode_features.py MODEL_DIR DATA CACHE_DIR --actors 2

CACHE_DIR must be one folder for all machines, such as a network disk. Training and evaluation then take the features
from it (`train.feature_cache: CACHE_DIR`). What is there already is not encoded again, so the command may be repeated.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import ray

from omni.config.trust import opening
from omni.encoders.building import build_encoder
from omni.encoders.encoding import encode_items
from omni.feature_cache import FeatureCache
from omni.feature_cache.encoding import encode_with_cache, prepare_with_cache
from omni.media.errors import MediaError
from omni.model.folder import CONFIG_FILE, ModelFolder
from omni.readers import open_dataset


class EncodeMedia:
    """Has the encoders of a model, and no language model; each actor of Ray is one of these."""

    def __init__(self, model: str, data: str, cache: str, trust_code: bool) -> None:
        folder = ModelFolder.read(Path(model))
        with opening(folder.path / CONFIG_FILE, trust_code):
            self.encoders = {name: build_encoder(one, name).eval() for name, one in folder.config.modalities.items()}
        self.fingerprints = {name: encoder.fingerprint() for name, encoder in self.encoders.items()}
        self.samples = open_dataset(data)
        self.cache = FeatureCache(cache)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[int]]:
        """Encode the media of samples, given by their indices; count what was done."""
        counts = Counter[str]()
        media = [item for index in batch["id"] for item in self.samples[int(index)].media]
        for name, encoder in self.encoders.items():
            fingerprint, prepared = self.fingerprints[name], []
            for item in media:
                if item.modality == name:
                    try:
                        prepared.append(prepare_with_cache(self.cache, fingerprint, encoder, item))
                    except MediaError as error:
                        print(f"left out: {error}")
                        counts["left_out"] += 1
            new = [item for item in prepared if item.features is None]
            counts["kept"] += len(prepared) - len(new)
            if new:
                encode_with_cache(self.cache, fingerprint, lambda items, e=encoder: encode_items(e, items), new, name)
            counts["encoded"] += len(new)
        return {name: [counts[name]] for name in ("encoded", "kept", "left_out")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of the model whose encoders are used")
    parser.add_argument("data", help="data set")
    parser.add_argument("cache", help="folder of the feature cache")
    parser.add_argument("--actors", type=int, default=2, help="processes, on all machines together")
    parser.add_argument("--batch", type=int, default=16, help="samples that a process takes at a time")
    parser.add_argument("--cpus", type=float, default=0.5, help="CPU cores of each process, of which all must fit")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of each process; 0.5 = two share one")
    parser.add_argument("--trust_code", action="store_true", help="run code that the folder names; see SECURITY.md")
    options = parser.parse_args()
    count = len(open_dataset(options.data))
    indices = ray.data.from_items([{"id": index} for index in range(count)], override_num_blocks=max(1, count // 1000))
    done = indices.map_batches(
        EncodeMedia,
        fn_constructor_args=[
            *(str(Path(path).absolute()) if Path(path).exists() else path for path in (options.model, options.data)),
            str(Path(options.cache).absolute()),
            options.trust_code,
        ],
        batch_size=options.batch,
        compute=ray.data.ActorPoolStrategy(size=options.actors),
        num_cpus=options.cpus,
        num_gpus=options.gpus,
    )
    rows = done.take_all()
    totals = {name: sum(int(row[name]) for row in rows) for name in ("encoded", "kept", "left_out")}
    print(", ".join(f"{value:,} media {name.replace('_', ' ')}" for name, value in totals.items()))


if __name__ == "__main__":
    main()
