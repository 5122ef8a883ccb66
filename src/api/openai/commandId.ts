import { randomUUID } from 'node:crypto';
import type { CommandId } from '../../shared/ids.js';

/** A new command id in the form of OpenAI's answer ids. @param prefix such as `chatcmpl` */
export function newCommandId(prefix: string): CommandId {
  return `${prefix}-${randomUUID().replaceAll('-', '')}` as CommandId;
}
