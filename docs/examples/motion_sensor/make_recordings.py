"""Write made-up recordings of seven kinds of motion, instead of those of your sensor: python make_recordings.py"""

import json
from pathlib import Path

import numpy as np

RATE = 50  # Hz
# step or swing frequency in Hz, its strength in m/s^2, strength of the rotation in rad/s
MOTIONS = {
    "Someone is resting.": (0.25, 0.15, 0.02),
    "Someone is walking.": (1.8, 3.0, 0.6),
    "Someone is running.": (2.8, 9.0, 1.5),
    "Someone is jumping.": (1.2, 16.0, 0.3),
    "Someone is turning around.": (0.4, 0.4, 3.0),
    "Someone is shaking the sensor.": (6.0, 12.0, 5.0),
    "The sensor lies in a driving car.": (12.0, 0.8, 0.05),
}


def recording(motion: str, generator: np.random.Generator) -> np.ndarray:
    """Return samples [T, 6]: gravity in a random direction, a motion with overtones, and noise."""
    frequency, strength, rotation = MOTIONS[motion]
    time = np.arange(int(RATE * generator.uniform(3, 12))) / RATE
    phase = 2 * np.pi * frequency * generator.uniform(0.85, 1.15) * time + generator.uniform(0, 2 * np.pi)
    wave = np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase)
    direction = generator.normal(size=(2, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    gravity = 9.81 * direction[1]
    acceleration = gravity + strength * generator.uniform(0.7, 1.3) * wave[:, None] * direction[0]
    turning = rotation * generator.uniform(0.7, 1.3) * np.cos(phase)[:, None] * direction[1]
    return np.concatenate([acceleration, turning], axis=1) + generator.normal(scale=0.1, size=(len(time), 6))


def main() -> None:
    """Write recordings/*.csv, train.jsonl and test.jsonl into the current folder."""
    generator = np.random.default_rng(0)
    Path("recordings").mkdir(exist_ok=True)
    for split, count in (("train", 280), ("test", 70)):
        rows = []
        for index in range(count):
            motion = list(MOTIONS)[index % len(MOTIONS)]
            path = f"recordings/{split}-{index:03}.csv"
            samples = recording(motion, generator)
            np.savetxt(path, samples, fmt="%.3f", delimiter=",", header="ax,ay,az,gx,gy,gz", comments="")
            user = {"role": "user", "content": [{"type": "motion", "path": path}]}
            answer = {"role": "assistant", "content": [{"type": "text", "text": motion}]}
            rows.append({"id": f"{split}-{index:03}", "messages": [user, answer]})
        Path(f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
