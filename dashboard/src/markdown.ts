/**
 * Markdown of a model as a piece of a document. A model may say anything, so everything goes through DOMPurify with a
 * short list of what may stand in an answer: no image (it would call somebody), no style, no form, no name or id.
 */
import DOMPurify from 'dompurify';
import hljs from 'highlight.js/lib/core';
import bash from 'highlight.js/lib/languages/bash';
import cpp from 'highlight.js/lib/languages/cpp';
import css from 'highlight.js/lib/languages/css';
import diff from 'highlight.js/lib/languages/diff';
import go from 'highlight.js/lib/languages/go';
import java from 'highlight.js/lib/languages/java';
import javascript from 'highlight.js/lib/languages/javascript';
import json from 'highlight.js/lib/languages/json';
import python from 'highlight.js/lib/languages/python';
import rust from 'highlight.js/lib/languages/rust';
import sql from 'highlight.js/lib/languages/sql';
import typescript from 'highlight.js/lib/languages/typescript';
import xml from 'highlight.js/lib/languages/xml';
import yaml from 'highlight.js/lib/languages/yaml';
import { Marked } from 'marked';

const LANGUAGES = {
  bash,
  cpp,
  css,
  diff,
  go,
  java,
  javascript,
  json,
  python,
  rust,
  sql,
  typescript,
  xml,
  yaml,
};
/** Longer code is shown plain: colours are not worth a page that stands still. */
const COLOURED_CHARACTERS = 50_000;

for (const [name, language] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, language);

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Markup that a model writes outside of a code block is shown as it stands: half of a tag would swallow the rest. */
const marked = new Marked({
  gfm: true,
  breaks: true,
  async: false,
  renderer: {
    html: ({ text }) =>
      /^<br\s*\/?>\s*$/i.test(text)
        ? '<br>'
        : text.replace(/[&<>"]/g, (character) => ESCAPES[character] as string),
  },
});

const ALLOWED = {
  ALLOWED_TAGS: [
    ...[
      'p',
      'br',
      'hr',
      'h1',
      'h2',
      'h3',
      'h4',
      'h5',
      'h6',
      'blockquote',
      'ul',
      'ol',
      'li',
      'strong',
      'em',
      'del',
    ],
    ...['a', 'code', 'pre', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'sub', 'sup', 'span'],
  ],
  ALLOWED_ATTR: ['href', 'class', 'start', 'title'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
} as const;

export function renderMarkdown(text: string): DocumentFragment {
  const dirty = marked.parse(text) as string;
  const fragment = DOMPurify.sanitize(dirty, {
    ...ALLOWED,
    ALLOWED_TAGS: [...ALLOWED.ALLOWED_TAGS],
    ALLOWED_ATTR: [...ALLOWED.ALLOWED_ATTR],
  });
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  }
  // Classes are for the language of a block alone: others could borrow the looks of the page.
  for (const element of fragment.querySelectorAll('[class]')) {
    if (element.localName !== 'code') element.removeAttribute('class');
  }
  for (const code of fragment.querySelectorAll<HTMLElement>('pre > code')) colour(code);
  for (const table of fragment.querySelectorAll('table')) scrollable(table, 'Table');
  for (const block of fragment.querySelectorAll('pre')) scrollable(block, 'Code');
  return fragment;
}

function colour(code: HTMLElement): void {
  const name = /^language-([\w+#-]+)$/.exec(code.className)?.[1] ?? '';
  code.removeAttribute('class');
  const text = code.textContent ?? '';
  if (text.length > COLOURED_CHARACTERS || hljs.getLanguage(name) === undefined) return;
  const { value } = hljs.highlight(text, { language: name, ignoreIllegals: true });
  const coloured = DOMPurify.sanitize(value, {
    ALLOWED_TAGS: ['span'],
    ALLOWED_ATTR: ['class'],
    RETURN_DOM_FRAGMENT: true,
  });
  code.replaceChildren(coloured);
}

/** What is wider than the page scrolls within itself, by keyboard too. */
function scrollable(element: HTMLElement, name: string): void {
  element.tabIndex = 0;
  element.setAttribute('role', element.localName === 'table' ? 'table' : 'region');
  element.setAttribute('aria-label', name);
}
