"""Speech tasks on the telephone prompts of Asterisk."""

from eval.task import Choose, Task

TASKS = (
    Task(
        name="speech-transcription-choice-10",
        version=3,
        description="Which of 10 sentences is spoken?",
        data="starter:asterisk/speech-test.jsonl",
        modalities=("speech",),
        prompt="Transcribe the speech.",
        kind=Choose("grouped", num_candidates=10),
        scorer="choice-pmi-v1",
        reference="starter:asterisk/speech-train.jsonl",
        train="starter:asterisk/speech-train.jsonl",
        num_shuffles=2,
        no_probe="transcripts are open-ended, there are no classes to probe for",
    ),
)
