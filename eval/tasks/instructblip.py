"""How X-InstructBLIP is asked in the configurations of its evaluation (LAVIS; Panagopoulou et al. 2023, 2311.18799).

Left out are what its text processors do to a question (small letters, some punctuation), and that its prefix stands
before the media.
"""

from typing import Any

# Five beams; LAVIS's own penalty on repetitions, which its configurations leave as it is.
_BEAMS = {"num_beams": 5, "repetition_penalty": 1.5}
SHORT_ANSWER: dict[str, Any] = {**_BEAMS, "min_new_tokens": 1, "max_new_tokens": 10, "length_penalty": -1.0}
CAPTION: dict[str, Any] = {**_BEAMS, "min_new_tokens": 10, "max_new_tokens": 80, "length_penalty": 1.0}

CAPTION_PROMPT = "a short description"
QUESTION_PROMPT = "Question: {question} Answer:"
VIDEO_PROMPT = "based on the given video respond to {question}"
DISCRN_PROMPT = (  # the mistake is theirs
    "You are given two inputs. Select exactly one of the two by referece to its relative position (first or second, "
    "left or right) that best answers the question. question: {question} answer:"
)

FIVE_FRAMES = {"video": {"num_frames": 5}}
TWO_FRAMES = {"video": {"num_frames": 2}}
