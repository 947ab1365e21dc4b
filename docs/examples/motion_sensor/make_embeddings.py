"""Turn the recordings into embeddings of your own, here spectra, in one .npy file for all: python make_embeddings.py"""

import json
from pathlib import Path

import numpy as np

SEGMENT = 64  # samples


def embedding(samples: np.ndarray) -> np.ndarray:
    """Turn a recording [T, 6] into [6 * 33]: log strength of each frequency on each channel, averaged over segments."""
    segments = samples[: len(samples) // SEGMENT * SEGMENT].reshape(-1, SEGMENT, 6)
    return np.log1p(np.abs(np.fft.rfft(segments, axis=1)).mean(0)).T.flatten().astype(np.float32)


def main() -> None:
    """Write SPLIT-embeddings.npy and a manifest that names its rows, for each split."""
    for split in ("train", "test"):
        rows = [json.loads(line) for line in Path(f"{split}.jsonl").read_text().splitlines()]
        embeddings = []
        for index, row in enumerate(rows):
            path = row["messages"][0]["content"][0]["path"]
            embeddings.append(embedding(np.loadtxt(path, delimiter=",", skiprows=1)))
            item = {"type": "motion", "features": f"{split}-embeddings.npy", "row": index}
            row["messages"][0]["content"] = [item]
        np.save(f"{split}-embeddings.npy", np.stack(embeddings))
        Path(f"{split}-embeddings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
