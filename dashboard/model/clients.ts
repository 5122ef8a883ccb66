/** Settings for the programs that people use, ready to be copied. */
export interface ClientSettings {
  readonly id: string;
  readonly name: string;
  /** What to do with the text. */
  readonly how: string;
  readonly text: string;
}

export interface ClientContext {
  /** `http://HOST:PORT` as the browser reached the node. */
  readonly origin: string;
  readonly model: string;
  readonly needsKey: boolean;
  /** Methods and paths that the node has: settings for what it does not speak are left out. */
  readonly routes: ReadonlySet<string>;
}

/** Never the real key: what is on the screen is on screenshots. */
const KEY_WORD = 'YOUR_KEY';
const QUESTION = 'What is Shoal?';
const OPENAI = 'post /v1/chat/completions';
const ANTHROPIC = 'post /v1/messages';

export function clientSettings({ origin, model, needsKey, routes }: ClientContext): ClientSettings[] {
  const key = needsKey ? KEY_WORD : 'unused';
  const words = { origin, model, key, needsKey, base: `${origin}/v1` };
  return PROGRAMS.filter(({ needs }) => routes.has(needs)).map(({ needs: _, text, ...program }) => ({
    ...program,
    text: text(words),
  }));
}

interface Words {
  readonly origin: string;
  readonly base: string;
  readonly model: string;
  readonly key: string;
  readonly needsKey: boolean;
}

interface Program extends Omit<ClientSettings, 'text'> {
  /** The route that it calls. */
  readonly needs: string;
  readonly text: (words: Words) => string;
}

const quoted = JSON.stringify;

const PROGRAMS: readonly Program[] = [
  {
    id: 'curl',
    name: 'curl',
    how: 'Paste it into a terminal.',
    needs: OPENAI,
    text: ({ base, model, needsKey }) => {
      const body = quoted({ model, messages: [{ role: 'user', content: QUESTION }] });
      const keyHeader = needsKey ? ` \\\n  -H 'Authorization: Bearer ${KEY_WORD}'` : '';
      return `curl ${shellQuoted(`${base}/chat/completions`)} \\\n  -H 'Content-Type: application/json'${keyHeader} \\\n  -d ${shellQuoted(body)}`;
    },
  },
  {
    id: 'openai-python',
    name: 'OpenAI SDK (Python)',
    how: 'pip install openai',
    needs: OPENAI,
    text: ({ base, key, model }) =>
      [
        'from openai import OpenAI',
        '',
        `client = OpenAI(base_url=${quoted(base)}, api_key=${quoted(key)})`,
        'answer = client.chat.completions.create(',
        `    model=${quoted(model)},`,
        `    messages=[{"role": "user", "content": ${quoted(QUESTION)}}],`,
        ')',
        'print(answer.choices[0].message.content)',
      ].join('\n'),
  },
  {
    id: 'openai-node',
    name: 'OpenAI SDK (JavaScript)',
    how: 'npm install openai',
    needs: OPENAI,
    text: ({ base, key, model }) =>
      [
        "import OpenAI from 'openai';",
        '',
        `const client = new OpenAI({ baseURL: ${quoted(base)}, apiKey: ${quoted(key)} });`,
        'const answer = await client.chat.completions.create({',
        `  model: ${quoted(model)},`,
        `  messages: [{ role: 'user', content: ${quoted(QUESTION)} }],`,
        '});',
        'console.log(answer.choices[0].message.content);',
      ].join('\n'),
  },
  {
    id: 'anthropic-python',
    name: 'Anthropic SDK (Python)',
    how: 'pip install anthropic',
    needs: ANTHROPIC,
    text: ({ origin, key, model }) =>
      [
        'from anthropic import Anthropic',
        '',
        `client = Anthropic(base_url=${quoted(origin)}, api_key=${quoted(key)})`,
        'answer = client.messages.create(',
        `    model=${quoted(model)},`,
        '    max_tokens=1024,',
        `    messages=[{"role": "user", "content": ${quoted(QUESTION)}}],`,
        ')',
        'print(answer.content[0].text)',
      ].join('\n'),
  },
  {
    id: 'claude-code',
    name: 'Claude Code',
    how: 'Set these variables in the terminal where it starts.',
    needs: ANTHROPIC,
    text: ({ origin, key, model }) =>
      [
        `export ANTHROPIC_BASE_URL=${shellQuoted(origin)}`,
        `export ANTHROPIC_AUTH_TOKEN=${shellQuoted(key)}`,
        `export ANTHROPIC_MODEL=${shellQuoted(model)}`,
        'claude',
      ].join('\n'),
  },
  {
    id: 'open-webui',
    name: 'Open WebUI',
    how: 'Start it with these variables, or enter them under Settings, Connections. In a container, 127.0.0.1 is the container itself: run it with --network=host.',
    needs: OPENAI,
    text: ({ base, key }) => `OPENAI_API_BASE_URL=${base}\nOPENAI_API_KEY=${key}`,
  },
  {
    id: 'continue',
    name: 'Continue',
    how: 'Add it to ~/.continue/config.yaml.',
    needs: OPENAI,
    text: ({ base, key, model }) =>
      [
        'models:',
        `  - name: ${quoted(`${model} (Shoal)`)}`,
        '    provider: openai',
        `    model: ${quoted(model)}`,
        `    apiBase: ${base}`,
        `    apiKey: ${key}`,
        '    roles: [chat, edit]',
      ].join('\n'),
  },
  {
    id: 'environment',
    name: 'Any OpenAI client',
    how: 'Most programs read these variables.',
    needs: OPENAI,
    text: ({ base, key }) =>
      `export OPENAI_BASE_URL=${shellQuoted(base)}\nexport OPENAI_API_KEY=${shellQuoted(key)}`,
  },
];

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
