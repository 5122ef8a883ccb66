/** What is no request: it does not come to an end, has headers past the bounds of the parser, or is not HTTP at all. */
import { maxHeaderSize, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { ERRORS, type Fault } from '../../shared/errors.js';
import { TIMES } from '../../shared/limits.js';
import { errorBody } from './errors.js';

/** By what Node.js calls it. */
const FAULTS: Readonly<Record<string, Fault>> = {
  ERR_HTTP_REQUEST_TIMEOUT: {
    code: 'client_too_slow',
    message: `The request did not arrive within ${TIMES.requestReceiveMs / 1_000} s. Send it in one go.`,
  },
  HPE_HEADER_OVERFLOW: {
    code: 'request_too_large',
    message: `Address and headers of the request are longer than ${maxHeaderSize} bytes. Send less.`,
  },
};

const NOT_HTTP: Fault = {
  code: 'invalid_request',
  message: 'This is not an HTTP/1.1 request that the node can read.',
};

/** Answers with the fault where the connection still takes one, and ends it. */
export function answerBrokenHttp(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const fault = FAULTS[error.code ?? ''] ?? NOT_HTTP;
  const { status } = ERRORS[fault.code];
  const body = JSON.stringify(errorBody(fault));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
