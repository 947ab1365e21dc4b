"""Chat templates in the styles of well-known LLMs, with the special tokens that they need, in our own words."""

from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tests.tiny import CHATML, WORDS


@dataclass(frozen=True)
class Style:
    """A template, its special tokens and what it writes behind an answer."""

    template: str | None
    specials: tuple[str, ...]
    end: str
    system: bool = True  # whether there is a system role
    list_roles: tuple[str, ...] = ()  # whose content it takes only as a list of parts


_ALL_ROLES = ("user", "assistant", "system")
_HEAD = "{{ bos_token }}{% for m in messages %}"
_ALTERNATE = (
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
)
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set sys = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' %}"
    "{% set rest = messages[1:] %}{% else %}{% set sys = '' %}{% set rest = messages %}{% endif %}"
    "{% for m in rest %}" + _ALTERNATE + "{% if m['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + (sys if loop.first else '') + m['content'].strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
LLAMA3 = (
    _HEAD + "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}"
    "{% for m in messages %}" + _ALTERNATE + "{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
VICUNA = (
    _HEAD + "{% if m['role'] == 'system' %}{{ m['content'] + ' ' }}{% elif m['role'] == 'user' %}"
    "{{ 'USER: ' + m['content'] + ' ' }}{% else %}{{ 'ASSISTANT: ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
MISTRAL = (
    _HEAD + _ALTERNATE + "{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL3 = (  # of version 0.3
    "{% if messages[0]['role'] == 'system' %}{% set sys = messages[0]['content'] %}{% set rest = messages[1:] %}"
    "{% else %}{% set rest = messages %}{% endif %}{{ bos_token }}{% for m in rest %}"
    + _ALTERNATE
    + "{% if m['role'] == 'user' %}{{ '[INST] ' + (sys + '\n\n' if loop.last and sys is defined else '') }}"
    "{{ m['content'] + '[/INST]' }}{% else %}{{ ' ' + m['content'] | trim + eos_token }}{% endif %}{% endfor %}"
)
QWEN3 = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{% for m in messages %}{% if m['role'] == 'assistant' %}{% set content = m['content'] %}"
    "{% set thought = '' %}{% if '</think>' in content %}"
    "{% set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}"
    "{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}{{ '<|im_start|>assistant\n' }}"
    "{% if loop.index0 > ns.last %}{{ '<think>\n' + thought.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}"
    "{% else %}{{ content }}{% endif %}{{ '<|im_end|>\n' }}"
    "{% else %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{% endif %}"
)
PHI3 = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
PHI4 = PHI3.replace("\n", "")  # with what ends everything right behind what ends the turn
COMMAND_R7B = (  # two end tokens, the second of which is the LLM's own
    _HEAD + "{% set role = 'CHATBOT' if m['role'] == 'assistant' else m['role'].upper() %}"
    "{{ '<|START|><|' + role + '|>' }}{% if role == 'CHATBOT' %}"
    "{{ '<|START_RESPONSE|>' + m['content'] + '<|END_RESPONSE|>' }}{% else %}{{ m['content'] }}{% endif %}"
    "{{ '<|END_OF_TURN|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|START|><|CHATBOT|><|START_RESPONSE|>' }}"
    "{% endif %}"
)
GLM4 = (  # a turn ends where the next one begins
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
NO_END = (
    "{% for m in messages %}{{ '### ' + m['role'] + ':\n' + m['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant:\n' }}{% endif %}"
)
# Of vision-language models: SmolVLM goes through the parts, LLaVA picks them by type; some take a plain system message.
SMOLVLM = (
    _HEAD + "{{ m['role'] | capitalize }}:{% for part in m['content'] %}{% if part['type'] == 'text' %}"
    "{{ ' ' + part['text'] }}{% else %}<image>{% endif %}{% endfor %}{{ eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
LLAVA = (
    "{% for m in messages %}{{ m['role'].upper() + ': ' }}"
    "{% for part in m['content'] | selectattr('type', 'equalto', 'image') %}<image>\n{% endfor %}"
    "{% for part in m['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
PARTS_OF_USER = (
    _HEAD + "{{ '<|' + m['role'] + '|>\n' }}{% if m['role'] == 'user' %}{{ m['content'][0]['text'] }}"
    "{% else %}{{ m['content'] }}{% endif %}{{ eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
EITHER = PHI3.replace(
    "m['content']", "(m['content'] if m['content'] is string else m['content'] | map(attribute='text') | join)"
)

STYLES = {
    "chatml": Style(CHATML, ("<|im_end|>", "<|im_start|>"), "<|im_end|>"),
    "llama2": Style(LLAMA2, ("</s>", "<s>"), " </s>"),
    "llama3": Style(
        LLAMA3, ("<|eot_id|>", "<s>", "<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>"), "<|eot_id|>"
    ),
    "gemma": Style(GEMMA, ("<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"), "<end_of_turn>", system=False),
    "vicuna": Style(VICUNA, ("</s>", "<s>"), "</s>"),
    "mistral": Style(MISTRAL, ("</s>", "<s>"), "</s>", system=False),
    "mistral3": Style(MISTRAL3, ("</s>", "<s>"), "</s>", system=False),
    "qwen3": Style(QWEN3, ("<|im_end|>", "<|im_start|>"), "<|im_end|>"),
    "phi3": Style(PHI3, ("<|endoftext|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"), "<|end|>"),
    "phi4": Style(PHI4, ("<|endoftext|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"), "<|end|>"),
    "command_r7b": Style(
        COMMAND_R7B,
        (
            "<|END_OF_TURN|>",
            "<s>",
            "<|START|>",
            "<|CHATBOT|>",
            "<|USER|>",
            "<|SYSTEM|>",
            "<|START_RESPONSE|>",
            "<|END_RESPONSE|>",
        ),
        "<|END_RESPONSE|><|END_OF_TURN|>",
    ),
    "no_end": Style(NO_END, ("</s>",), ""),
    "smolvlm": Style(SMOLVLM, ("<end_of_utterance>", "<s>"), "<end_of_utterance>", list_roles=_ALL_ROLES),
    "llava": Style(LLAVA, ("</s>", "<s>"), "", list_roles=_ALL_ROLES),
    "parts_of_user": Style(
        PARTS_OF_USER, ("<|end|>", "<s>", "<|user|>", "<|assistant|>", "<|system|>"), "<|end|>", list_roles=("user",)
    ),
    "either": Style(EITHER, ("<|endoftext|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"), "<|end|>"),
    "plain": Style(None, ("</s>", "<s>"), "</s>"),
}


def styled_tokenizer(style: Style, sentencepiece: bool = False) -> PreTrainedTokenizerFast:
    """A tiny tokenizer, byte-level BPE or Unigram with SentencePiece's word marks, that knows the style's tokens."""
    text = [WORDS, " " + WORDS, WORDS.upper(), "INST SYS [] <> / : # \n it's a frog, not 2 dogs!"]
    if sentencepiece:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=300, special_tokens=["<unk>", *style.specials], unk_token="<unk>", show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=[*style.specials],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    tokenizer.train_from_iterator(text * 3, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=style.specials[0],
        bos_token=style.specials[1] if len(style.specials) > 1 else None,
        additional_special_tokens=list(style.specials[2:]),
        chat_template=style.template,
        clean_up_tokenization_spaces=False,
    )
