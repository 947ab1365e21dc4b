"""The simple model of lmms-eval, which reads one text and a list of media."""

from collections.abc import Callable
from typing import Any

from eval.plugins.lmms_eval.conversations import simple_conversation
from eval.plugins.lmms_eval.likelihoods import sample_id_of
from eval.plugins.lmms_eval.model import OmniLmms
from omni.samples.messages import Sample


class OmniSimple(OmniLmms):
    """A trained model as a simple model: requests are `(context, gen_kwargs, doc_to_visual, doc_id, task, split)`."""

    is_simple = True
    settings_at = 1

    def conversation(self, arguments: tuple[Any, ...]) -> Sample:
        """Return the conversation of a request."""
        context, _, doc_to_visual, doc_id, task, split = arguments
        visuals = doc_to_visual(self.doc(doc_id, task, split))
        return self._shown(context, visuals, doc_id, task, split)

    def rounds(self, arguments: tuple[Any, ...], ask: Callable[[Sample], str]) -> list[str]:
        """Return the answers of all rounds: `doc_to_text` gives media and text of each, and says when it is done."""
        context, _, doc_to_visual, doc_to_text, doc_id, task, split = arguments
        doc = self.doc(doc_id, task, split)
        answers = [ask(self._shown(context, doc_to_visual(doc), doc_id, task, split))]
        info = None
        while True:
            found = doc_to_text(doc, previous_output=[*answers], round_idx=len(answers), previous_round_info=info)
            if not isinstance(found, tuple) or len(found) != 5:
                raise ValueError(
                    f"{sample_id_of(doc_id, task, split)}: round {len(answers) + 1} must give (media, text, is_done, "
                    f"answers, info), got {found!r:.200}"
                )
            visuals, text, is_done, _, info = found
            if is_done:
                return answers
            answers.append(ask(self._shown(text, visuals, doc_id, task, split)))

    def _shown(self, text: str, visuals: Any, doc_id: int, task: str, split: str) -> Sample:
        return simple_conversation(text, visuals, [*self.model.modalities], sample_id_of(doc_id, task, split))
