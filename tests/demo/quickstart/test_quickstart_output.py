"""Each folder of data has a run of its own, and what was trained is never deleted for another."""

import os
import subprocess
from pathlib import Path

import pytest

from demo.quickstart.__main__ import chat_command, default_output, train
from demo.quickstart.plan import RECIPES, Training
from tests.train.runs import REPOSITORY

UNUSABLE = Training("image", RECIPES / "quickstart-image.yaml", {"train.nonsense": 1})  # stops before it trains

DATA = {
    None: "runs/quickstart",
    "birds": "runs/quickstart-birds",
    "../my birds/": "runs/quickstart-my_birds",
    "/data/more of them/2024//": "runs/quickstart-2024",
    "hf:someone/birds": "runs/quickstart-birds",
    "birds.jsonl": "runs/quickstart-birds.jsonl",
}


@pytest.mark.parametrize("data", DATA)
def test_make_quickstart_and_make_demo_mean_the_same_folder_for_the_same_data(data: str | None) -> None:
    assert default_output(data) == Path(DATA[data])
    given = [] if data is None else [f"DATA={data}"]
    # as in a shell, and not as a part of the `make test` that may have started this
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "DATA"}
    for target, argument in (("quickstart", f'--output "{DATA[data]}"'), ("demo", f'--model "{DATA[data]}/model"')):
        shown = subprocess.run(
            ["make", "--dry-run", target, *given],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert argument in shown.stdout.splitlines()[-1]


def test_what_the_quickstart_says_at_its_end_opens_what_it_has_made() -> None:
    assert chat_command(default_output(None), None).startswith("make demo   (or: python -m demo --model runs/quick")
    assert chat_command(default_output("my birds"), "my birds").startswith("make demo DATA='my birds'   (or: python")
    assert chat_command(Path("elsewhere"), "birds") == "python -m demo --model elsewhere/model"


def test_run_with_other_data_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    output = tmp_path / "image"
    (tmp_path / "image-1").mkdir()
    for number in range(2):
        with pytest.raises(subprocess.CalledProcessError):
            train(UNUSABLE, output, seed=number)
        (output / "best").mkdir()
        (output / "best" / "adapter.safetensors").write_text(f"hours of training, seed {number}")
    kept = {path.parents[1].name: path.read_text() for path in tmp_path.glob("*/best/adapter.safetensors")}
    assert kept == {"image-2": "hours of training, seed 0", "image": "hours of training, seed 1"}


def test_folder_of_something_else_is_not_cleared_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "holiday.png").write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"holds files of something else, such as holiday.png"):
        train(UNUSABLE, tmp_path / "image", seed=0)
    assert (tmp_path / "image" / "holiday.png").read_bytes() == b"precious"
