/** What to ask a model that one has just met. */
const EMBEDDED = 'shoal-guide';

export function whatItIs(modelId: string): string {
  return modelId === EMBEDDED
    ? 'A tiny model that comes with Shoal: it knows Shoal and simple stories, nothing else.'
    : 'Ask it something.';
}

export function firstQuestions(modelId: string): readonly string[] {
  return modelId === EMBEDDED
    ? ['What is Shoal?', 'How do I add a second machine?', 'Tell me a story about a fox.']
    : ['What can you help me with?', 'Explain how a tide works.', 'Write a short poem about the sea.'];
}
