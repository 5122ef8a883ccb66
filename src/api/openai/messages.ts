/** Chat messages in OpenAI's form, and what of them a `GenerationRequest` carries. */
import { z } from 'zod';
import type { ChatMessage } from '../../shared/generation.js';
import { LIMITS } from '../../shared/limits.js';
import { boundedArray, isEmptyList, refused } from '../http/schema.js';

const textPart = z.strictObject({ type: z.literal('text'), text: z.string() });

/** A kind of content part, or of message, that OpenAI knows and no model here can take. */
function refusedKind<Field extends string, Kind extends string>(field: Field, kind: Kind, why: string) {
  return z
    .looseObject({ [field]: z.literal(kind) } as Record<Field, z.ZodLiteral<Kind>>)
    .superRefine((_value, context) => {
      context.addIssue({
        code: 'custom',
        path: [field],
        message: why,
        params: { code: 'unsupported_parameter' },
      });
    })
    .describe(`Not honoured: refused with \`unsupported_parameter\`. ${why}`);
}

const contentPart = z.discriminatedUnion('type', [
  textPart,
  refusedKind('type', 'image_url', 'Images are not taken; send text.'),
  refusedKind('type', 'input_audio', 'Audio is not taken; send text.'),
  refusedKind('type', 'file', 'Files are not taken; send text.'),
  refusedKind('type', 'refusal', 'Refusals are not taken; send text.'),
]);

const content = z.union([z.string(), boundedArray(contentPart, 1, LIMITS.contentPartsPerMessage)]);
const name = z.string().min(1).max(LIMITS.messageNameCharacters).nullish();

const plainMessage = <Role extends 'system' | 'developer' | 'user'>(role: Role) =>
  z.strictObject({ role: z.literal(role), content, name });

/** Takes an answer of this API back as it came, with the fields that are empty in it. */
const assistantMessage = z.strictObject({
  role: z.literal('assistant'),
  content,
  name,
  reasoning_content: z
    .string()
    .nullish()
    .describe('Taken back with an answer of this API; the model sees answers without their reasoning.'),
  refusal: refused('Refusals are not taken back.'),
  audio: refused('Audio is not taken.'),
  annotations: refused('Annotations are not taken back.', isEmptyList),
  tool_calls: refused('Tools are not supported yet.', isEmptyList),
  function_call: refused('Functions are not supported yet.'),
});

const message = z.discriminatedUnion('role', [
  plainMessage('system'),
  plainMessage('developer'),
  plainMessage('user'),
  assistantMessage,
  refusedKind('role', 'tool', 'Tools are not supported yet.'),
  refusedKind('role', 'function', 'Functions are not supported yet.'),
]);

export const messagesSchema = boundedArray(message, 1, LIMITS.messagesPerRequest);

/** The messages as the chat template takes them; text parts of one message are joined. */
export function toChatMessages(messages: z.output<typeof messagesSchema>): ChatMessage[] {
  const result: ChatMessage[] = [];
  for (const item of messages) {
    // The schema lets no message of these roles pass; the type cannot say so.
    if (item.role === 'tool' || item.role === 'function') continue;
    result.push({
      role: item.role,
      content: joinParts(item.content),
      ...(item.name == null ? {} : { name: item.name }),
    });
  }
  return result;
}

function joinParts(parts: z.output<typeof content>): string {
  if (typeof parts === 'string') return parts;
  return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}
