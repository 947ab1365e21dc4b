"""The chat model of lmms-eval, which reads conversations with media in any place."""

from collections.abc import Callable
from typing import Any

from eval.plugins.lmms_eval.conversations import chat_conversation
from eval.plugins.lmms_eval.likelihoods import sample_id_of
from eval.plugins.lmms_eval.model import OmniLmms
from omni.samples.messages import Sample


class OmniChat(OmniLmms):
    """A trained model as a chat model: requests are `(ctx, doc_to_messages, gen_kwargs, doc_id, task, split)`.

    lmms-eval gives tasks of the type `multiple_choice` to simple models only: `--force_simple` takes that one.
    """

    is_simple = False
    settings_at = 2

    def conversation(self, arguments: tuple[Any, ...]) -> Sample:
        """Return the conversation of a request."""
        _, doc_to_messages, _, doc_id, task, split = arguments
        return self._shown(doc_to_messages(self.doc(doc_id, task, split)), doc_id, task, split)

    def rounds(self, arguments: tuple[Any, ...], ask: Callable[[Sample], str]) -> list[str]:
        """Return the answers of all rounds: `doc_to_messages` gives the turns of each, and says when it is done."""
        _, doc_to_messages, _, doc_id, task, split = arguments
        doc = self.doc(doc_id, task, split)
        answers = [ask(self.conversation(arguments))]
        info = None
        while True:
            found = doc_to_messages(doc, round_idx=len(answers), previous_output=[*answers], previous_round_info=info)
            if not isinstance(found, tuple) or len(found) != 4:
                raise ValueError(
                    f"{sample_id_of(doc_id, task, split)}: round {len(answers) + 1} must give (messages, is_done, "
                    f"answers, info), got {found!r:.200}"
                )
            messages, is_done, _, info = found
            if is_done:
                return answers
            answers.append(ask(self._shown(messages, doc_id, task, split)))

    def _shown(self, messages: Any, doc_id: int, task: str, split: str) -> Sample:
        return chat_conversation(messages, [*self.model.modalities], sample_id_of(doc_id, task, split))
