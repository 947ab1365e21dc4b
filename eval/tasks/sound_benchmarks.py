"""Benchmarks of sound, music and speech on their official files."""

from dataclasses import replace

from eval.data.labels import readable
from eval.data.sets.sound_classes import ESC_50, URBAN_SOUND
from eval.task import Choose
from eval.tasks import instructblip
from eval.tasks.benchmark_tasks import answers, captions, choices, classes

_SOUND = "What is this sound?"
_A_SOUND = "This is a sound of {answer}."  # the template of MTEB's zero-shot tasks
_CAPTION = "Describe the sound in one sentence."
_SHORT = "a short description"  # X-InstructBLIP
_QUESTION = "Question: {question} Answer:"  # X-InstructBLIP
# lmms-eval's wording; Whisper's normaliser makes up for case and punctuation.
_TRANSCRIBE = "Please recognize the speech and only output the recognized content:"
_ONE_WORD = "\nAnswer the question using a single word only."
_ESC_NAMES = [readable(name) for name in ESC_50]

CLASSES = (
    classes(
        "esc50",
        "official:esc50/all",
        "sound",
        "ESC-50, all folds: which of 50 kinds of sound is it?",
        prompt=_SOUND,
        answer_form=_A_SOUND,
        names=_ESC_NAMES,
    ),
    classes(
        "esc50-instructblip",
        "official:esc50/all",
        "sound",
        "ESC-50 as X-InstructBLIP asks it: its prompt and candidates, ranked by the sum.",
        prompt="describe the audio",
        answer_form="an audio of {answer}",
        names=_ESC_NAMES,
        scorer="classification-sum-v1",
    ),
    classes(
        "urbansound8k",
        "official:urbansound8k/all",
        "sound",
        "UrbanSound8K, all folds: which of 10 sounds of the city is it?",
        prompt=_SOUND,
        answer_form=_A_SOUND,
        names=[readable(name) for name in URBAN_SOUND],
    ),
    classes(
        "vggsound",
        "official:vggsound/test",
        "sound",
        "VGGSound, test: which of 309 kinds of sound is it, by the sound alone?",
        prompt=_SOUND,
        answer_form=_A_SOUND,
    ),
)
VIDEO_AND_SOUND = CLASSES[-1].changed(
    name="vggsound-video-sound",
    description="VGGSound, test: by video and sound together, and by each alone.",
    modalities=("video", "sound"),
    prompt="What is happening?",
    answer_form="{answer}",
    only=(("video",), ("sound",)),
)
CAPTIONS = (
    captions("audiocaps", "official:audiocaps/test", "sound", "AudioCaps, test: a caption.", prompt=_CAPTION),
    captions(
        "audiocaps-instructblip",
        "official:audiocaps/test",
        "sound",
        "AudioCaps as X-InstructBLIP asks it: its prompt, five beams.",
        prompt=_SHORT,
        settings=instructblip.CAPTION,
    ),
    captions("clotho", "official:clotho/evaluation", "sound", "Clotho v2.1, evaluation: a caption.", prompt=_CAPTION),
    captions(
        "clotho-instructblip",
        "official:clotho/evaluation",
        "sound",
        "Clotho as X-InstructBLIP asks it: its prompt, five beams.",
        prompt=_SHORT,
        settings=instructblip.CAPTION,
    ),
)
QUESTIONS = (
    answers(
        "clotho-aqa",
        "official:clotho-aqa/test-unanimous",
        "sound",
        "ClothoAQA, the questions that three annotators answer alike: a word.",
        scorer="exact-match-v2",
        post_prompt=_ONE_WORD,
        plain_prompt="Question: {question} Short answer:",
    ),
    answers(
        "clotho-aqa-all",
        "official:clotho-aqa/test",
        "sound",
        "ClothoAQA, all questions: right if any of three annotators says so.",
        scorer="exact-match-v2",
        target="meta:answers",
        post_prompt=_ONE_WORD,
        plain_prompt="Question: {question} Short answer:",
    ),
    answers(
        "clotho-aqa-instructblip",
        "official:clotho-aqa/test",
        "sound",
        "ClothoAQA as X-InstructBLIP asks it: VQA accuracy over three annotators, which is 2/3 at most.",
        scorer="vqa-accuracy-v1",
        target="meta:answers",
        prompt=_QUESTION,
        settings=instructblip.SHORT_ANSWER,
    ),
    answers(
        "audiocaps-qa-instructblip",
        "official:audiocaps/qa",
        "sound",
        "Questions made from AudioCaps, as X-InstructBLIP asks them.",
        scorer="exact-match-v2",
        prompt=_QUESTION,
        settings=instructblip.SHORT_ANSWER,
    ),
    *choices("mmau", "official:mmau/test-mini", "sound", "MMAU, test-mini: sound, music and speech, with options."),
    *choices("mmar", "official:mmar/test", "sound", "MMAR: reasoning about mixed sounds, with options."),
    *choices("mmsu", "official:mmsu/test", "sound", "MMSU: how something is said, and what, with options."),
    *choices("muchomusic", "official:muchomusic/test", "sound", "MuChoMusic: music, with four options."),
    answers(
        "audiobench-answers",
        "official:audiobench/sound",
        "sound",
        "A set in AudioBench's form: an answer, compared as it is written.",
        scorer="exact-match-v2",
        settings={"max_new_tokens": 64},
    ),
)
AUDIO_SET = replace(
    CLASSES[-1],
    name="audioset",
    description="AudioSet, evaluation: how well does each of 527 kinds of sound rank the clips?",
    data="official:audioset/eval",
    kind=Choose("labels", several=True),
    scorer="multi-label-v1",
    target="meta:labels",
)
SPEECH = (
    *(
        answers(
            f"librispeech-{split}",
            f"official:librispeech/{split}",
            "speech",
            f"LibriSpeech, {split}: what is said, by word error rate.",
            scorer="transcription-english-v1",
            prompt=_TRANSCRIBE,
            settings={"max_new_tokens": 256},
        )
        for split in ("test-clean", "test-other", "dev-clean", "dev-other")
    ),
    answers(
        "audiobench-transcription",
        "official:audiobench/speech",
        "speech",
        "A set of transcriptions in AudioBench's form, by word error rate.",
        scorer="transcription-english-v1",
        settings={"max_new_tokens": 256},
    ),
)
TASKS = (*CLASSES, VIDEO_AND_SOUND, AUDIO_SET, *CAPTIONS, *QUESTIONS, *SPEECH)
