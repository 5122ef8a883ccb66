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
}

/** Never the real key: what is on the screen is on screenshots. */
const KEY_WORD = 'YOUR_KEY';

export function clientSettings({ origin, model, needsKey }: ClientContext): ClientSettings[] {
  const base = `${origin}/v1`;
  const key = needsKey ? KEY_WORD : 'unused';
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'What is Shoal?' }] });
  const keyHeader = needsKey ? ` \\\n  -H 'Authorization: Bearer ${KEY_WORD}'` : '';
  return [
    {
      id: 'curl',
      name: 'curl',
      how: 'Paste it into a terminal.',
      text: `curl ${shellQuoted(`${base}/chat/completions`)} \\\n  -H 'Content-Type: application/json'${keyHeader} \\\n  -d ${shellQuoted(body)}`,
    },
    {
      id: 'openai-python',
      name: 'OpenAI SDK (Python)',
      how: 'pip install openai',
      text: [
        'from openai import OpenAI',
        '',
        `client = OpenAI(base_url=${JSON.stringify(base)}, api_key=${JSON.stringify(key)})`,
        'answer = client.chat.completions.create(',
        `    model=${JSON.stringify(model)},`,
        '    messages=[{"role": "user", "content": "What is Shoal?"}],',
        ')',
        'print(answer.choices[0].message.content)',
      ].join('\n'),
    },
    {
      id: 'openai-node',
      name: 'OpenAI SDK (JavaScript)',
      how: 'npm install openai',
      text: [
        "import OpenAI from 'openai';",
        '',
        `const client = new OpenAI({ baseURL: ${JSON.stringify(base)}, apiKey: ${JSON.stringify(key)} });`,
        'const answer = await client.chat.completions.create({',
        `  model: ${JSON.stringify(model)},`,
        "  messages: [{ role: 'user', content: 'What is Shoal?' }],",
        '});',
        'console.log(answer.choices[0].message.content);',
      ].join('\n'),
    },
    {
      id: 'open-webui',
      name: 'Open WebUI',
      how: 'Start it with these variables, or enter them under Settings, Connections.',
      text: `OPENAI_API_BASE_URL=${base}\nOPENAI_API_KEY=${key}`,
    },
    {
      id: 'continue',
      name: 'Continue',
      how: 'Add it to ~/.continue/config.yaml.',
      text: [
        'models:',
        `  - name: ${JSON.stringify(`${model} (Shoal)`)}`,
        '    provider: openai',
        `    model: ${JSON.stringify(model)}`,
        `    apiBase: ${base}`,
        `    apiKey: ${key}`,
        '    roles: [chat, edit]',
      ].join('\n'),
    },
    {
      id: 'environment',
      name: 'Any OpenAI client',
      how: 'Most programs read these variables.',
      text: `export OPENAI_BASE_URL=${base}\nexport OPENAI_API_KEY=${key}`,
    },
  ];
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
