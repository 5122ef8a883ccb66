import { native } from './binding/native.js';
import { LLAMA_VERSION } from './binding/pins.js';

/**
 * For people: the package, the release and the devices that compute.
 * @throws {ShoalError} `engine_unavailable`
 */
export function engineInfo(): string {
  const { packageName, devices } = native();
  const names = devices.map(({ name, description }) => `${name} (${description.trim()})`);
  return `llama.cpp ${LLAMA_VERSION} of ${packageName} on ${names.join(', ')}`;
}
