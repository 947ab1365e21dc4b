"""What a run keeps besides weights and optimiser: how far it is, and the samples that could not be used."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from train.data.bad_samples import BadSampleLog
from train.run.run_state import RunState
from train.run.saved_run import SavedRun

BAD_SAMPLES = "bad_samples.jsonl"  # in the output folder of a run


@dataclass(frozen=True)
class RunRecords:
    """The records of a run, which change from step to step."""

    state: RunState
    bad_samples: BadSampleLog
    bad_evaluation_samples: BadSampleLog

    @classmethod
    def of(cls, saved: SavedRun | None, output_dir: Path | None, max_bad_share: float) -> "RunRecords":
        """Return those of a new run, or of `saved`; `output_dir` None: bad samples are counted, not written down."""
        file = None if output_dir is None else output_dir / BAD_SAMPLES
        logs = BadSampleLog(file, max_bad_share), BadSampleLog(file, max_bad_share)
        if saved is None:
            return cls(RunState(), *logs)
        logs[0].load_state_dict(saved.bad_samples)
        logs[1].load_state_dict(saved.bad_evaluation_samples)
        return cls(saved.state, *logs)

    def as_json(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of them, as JSON values."""
        return {
            "run": asdict(self.state),
            "bad_samples": self.bad_samples.state_dict(),
            "bad_evaluation_samples": self.bad_evaluation_samples.state_dict(),
        }
