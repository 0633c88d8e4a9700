"""The chat form as transformers and the servers of its family read it: a Jinja template beside the tokenizer."""

CHAT_TEMPLATE = """\
{{- bos_token -}}
{%- for message in messages -%}
  {%- if message['role'] != ('user' if loop.index0 % 2 == 0 else 'assistant') -%}
    {{- raise_exception('Turns must go user, assistant, user, ...') -}}
  {%- endif -%}
  {%- if message['role'] == 'user' -%}
    {{- '<|user|>' + message['content'] + eos_token -}}
  {%- else -%}
    {{- '<|assistant|>' -}}
    {%- generation -%}{{- message['content'] + eos_token -}}{%- endgeneration -%}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}
"""
