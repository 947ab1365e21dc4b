"""A chat template for processors of transformers that lays parts of messages out as `ChatLayout` does."""

import json
from collections.abc import Mapping

from omni.model.core import ModelCore
from omni.prompts.chat_template import PLAIN_TEMPLATE

# What `omni.prompts.chat_layout` does, in Jinja: cues, line breaks around media, answers without white space at either
# end, and the system message of the model. The messages go on to the LLM's own template, whose content is text.
_PARTS_TO_TEXT = """\
{%- set enable_thinking = enable_thinking | default(false) -%}
{%- set cues = CUES -%}
{%- set laid_out = namespace(messages=[]) -%}
{%- for message in messages -%}
  {%- set turn = namespace(text='', after_text=false) -%}
  {%- if message['content'] is string -%}
    {%- set turn.text = message['content'] -%}
  {%- else -%}
    {%- for part in message['content'] -%}
      {%- set is_text = part['type'] == 'text' -%}
      {%- set piece = part['text'] if is_text else cues[part['type']] -%}
      {%- set joined = is_text and turn.after_text -%}
      {%- if turn.text and not joined and not turn.text[-1].isspace() and not piece[:1].isspace() -%}
        {%- set turn.text = turn.text + '\\n' -%}
      {%- endif -%}
      {%- set turn.text = turn.text + piece -%}
      {%- set turn.after_text = is_text -%}
    {%- endfor -%}
  {%- endif -%}
  {%- if message['role'] == 'assistant' -%}
    {%- set turn.text = turn.text.strip() -%}
  {%- endif -%}
  {%- set laid_out.messages = laid_out.messages + [{'role': message['role'], 'content': turn.text}] -%}
{%- endfor -%}
SYSTEM
{%- set messages = laid_out.messages %}
"""
_SYSTEM = """\
{%- if laid_out.messages and laid_out.messages[0]['role'] != 'system' -%}
  {%- set laid_out.messages = [{'role': 'system', 'content': TEXT}] + laid_out.messages -%}
{%- endif -%}
"""


def processor_template(model: ModelCore, marks: Mapping[str, str]) -> str:
    """Return the LLM's chat template behind one that turns the parts of messages into text.

    Args:
        model: whose system message and template these are.
        marks: type of a part -> the text that stands for it, its cue included.
    """
    system = "" if model.system is None else _SYSTEM.replace("TEXT", json.dumps(model.system))
    head = _PARTS_TO_TEXT.replace("CUES", json.dumps(dict(marks))).replace("SYSTEM\n", system)
    return head.rstrip("\n") + str(model.llm.tokenizer.chat_template or PLAIN_TEMPLATE)
