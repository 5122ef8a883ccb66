/** Chat templates for model files that have none. */

/** The widespread format of `<|im_start|>` and `<|im_end|>`; for models that have these two as control tokens. */
const CHATML = `{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}`;

/** Roles in plain words; for models without control tokens for roles, such as base models. */
const PLAIN = `{{- bos_token -}}
{%- for message in messages -%}
{{ message['role'] | capitalize + ': ' + message['content'] + '\\n\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ 'Assistant:' }}{%- endif -%}`;

/** @param controlTexts the model's control tokens */
export function defaultTemplate(controlTexts: readonly string[]): string {
  return controlTexts.includes('<|im_start|>') && controlTexts.includes('<|im_end|>') ? CHATML : PLAIN;
}
