/**
 * The one release of the native libraries that this binding was written and tested for. Struct layouts are not part
 * of their promise from release to release, so that another version is refused rather than tried.
 */
export const LLAMA_VERSION = '0.4.0-dev';
export const GGML_VERSION = '0.23.0';

/** Sequences that llama.cpp can tell apart in one context (`LLAMA_MAX_SEQ`); a larger id would end the process. */
export const MAXIMUM_SEQUENCES = 256;
