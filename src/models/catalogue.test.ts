import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { ShoalError } from '../shared/errors.js';
import { ModelCatalogue } from './catalogue.js';
import { writeGguf } from './gguf/writer.js';
import { testModel, uint } from './testing/modelFile.js';

let root: string;
let catalogue: ModelCatalogue;
const at = (...names: string[]) => join(root, ...names);

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'shoal-catalogue-'));
  for (const folder of ['embedded', 'models/a', 'models/b']) mkdirSync(at(folder), { recursive: true });
  writeGguf(at('embedded/shoal-guide.gguf'), testModel());
  catalogue = new ModelCatalogue({ directories: [at('models')], embeddedDirectory: at('embedded') });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const ids = async () => (await catalogue.list()).map(({ modelId }) => modelId);
const refusalOf = async (id: string) =>
  (await catalogue.list()).find(({ modelId }) => modelId === id)?.refusal;

async function rejection(name: string): Promise<ShoalError> {
  try {
    await catalogue.resolve(name);
  } catch (error) {
    assert.ok(error instanceof ShoalError, String(error));
    return error;
  }
  return assert.fail('it was resolved');
}

/** One model in three parts: all metadata in the first. */
function writeParts(folder: string, parts: readonly number[]): void {
  const { metadata, tensors } = testModel();
  for (const part of parts) {
    const own = tensors.filter((_, index) => index % 3 === part);
    writeGguf(at(folder, `big-0000${part + 1}-of-00003.gguf`), {
      metadata: [
        ...(part === 0 ? metadata : []),
        ['split.no', uint(part)],
        ['split.count', uint(3)],
        ['split.tensors.count', uint(tensors.length)],
      ],
      tensors: own,
    });
  }
}

describe('R61: every model file is listed with what it needs, and why it cannot run', () => {
  test('the embedded model comes first', async () => {
    writeGguf(at('models/a/alpha.gguf'), testModel());
    const [guide, alpha] = await catalogue.list();
    assert.deepEqual([guide?.modelId, guide?.embedded, guide?.refusal], ['shoal-guide', true, null]);
    assert.deepEqual(
      [alpha?.modelId, alpha?.embedded, alpha?.path],
      ['alpha', false, at('models/a/alpha.gguf')],
    );
    assert.ok(guide!.memory!.totalBytes > guide!.memory!.weightsBytes);
    assert.equal(guide?.layers, 4);
    assert.ok(Number.isInteger(guide?.created));
  });

  test('files that cannot run stay in the list, with the reason', async () => {
    writeFileSync(at('models/text.gguf'), 'no model');
    writeGguf(at('models/odd.gguf'), testModel({ architecture: 'odd' }));
    writeGguf(at('models/cut.gguf'), testModel());
    truncateSync(at('models/cut.gguf'), readFileSync(at('models/cut.gguf')).length - 2000);
    assert.match((await refusalOf('text')) ?? '', /does not begin with `GGUF`/);
    assert.match((await refusalOf('odd')) ?? '', /architecture `odd`/);
    assert.match((await refusalOf('cut')) ?? '', /incomplete/);
    const error = await rejection('odd');
    assert.equal(error.code, 'model_unsupported');
    assert.match(error.message, /odd cannot run\. The engine does not know the architecture `odd`/);
  });

  test('a folder that is not there is reported', async () => {
    catalogue = new ModelCatalogue({ directories: [at('nowhere')], embeddedDirectory: at('embedded') });
    assert.match((await refusalOf('nowhere')) ?? '', /ENOENT/);
  });

  test('loops of links end, and a file that is reached twice is listed once', async () => {
    writeGguf(at('models/a/alpha.gguf'), testModel());
    symlinkSync(at('models'), at('models/b/loop'));
    symlinkSync(at('models/a/alpha.gguf'), at('models/b/other.gguf'));
    symlinkSync(at('gone.gguf'), at('models/b/dangling.gguf'));
    assert.deepEqual(await ids(), ['shoal-guide', 'alpha', 'dangling.gguf']);
    assert.match((await refusalOf('dangling.gguf')) ?? '', /ENOENT/);
  });

  test('two files of one name are told apart by their folders; the embedded model keeps its name', async () => {
    for (const name of ['a/alpha', 'b/alpha', 'b/shoal-guide'])
      writeGguf(at('models', `${name}.gguf`), testModel());
    assert.deepEqual(await ids(), ['shoal-guide', 'a/alpha', 'b/alpha', 'b/shoal-guide']);
    assert.equal((await catalogue.resolve('b/alpha')).path, at('models/b/alpha.gguf'));
    assert.equal((await catalogue.resolve(at('models/b/alpha.gguf'))).modelId, 'b/alpha');
    assert.equal((await catalogue.resolve('shoal-guide')).path, at('embedded/shoal-guide.gguf'));
  });

  test('a model in parts is one model; missing parts are named', async () => {
    writeParts('models', [0, 1, 2]);
    const [, big] = await catalogue.list();
    assert.deepEqual(
      [big?.modelId, big?.refusal, big?.path],
      ['big', null, at('models/big-00001-of-00003.gguf')],
    );
    assert.equal(big?.parameters, (await catalogue.list())[0]?.parameters);
    assert.equal((await catalogue.resolve(at('models/big-00002-of-00003.gguf'))).path, big?.path);
    rmSync(at('models/big-00002-of-00003.gguf'));
    assert.match((await refusalOf('big')) ?? '', /missing: big-00002-of-00003\.gguf/);
  });

  test('parts that do not belong together are refused', async () => {
    writeParts('models', [0, 1, 2]);
    writeFileSync(at('models/big-00002-of-00003.gguf'), readFileSync(at('models/big-00003-of-00003.gguf')));
    assert.match((await refusalOf('big')) ?? '', /part 2 of 3 says that it is part 3/);
  });

  test('a file is read again when it has changed, and only then', async () => {
    const path = at('models/alpha.gguf');
    const time = new Date(1_700_000_000_000);
    writeGguf(path, testModel());
    utimesSync(path, time, time);
    assert.equal(await refusalOf('alpha'), null);
    const bytes = readFileSync(path);
    writeFileSync(path, Buffer.alloc(bytes.length));
    utimesSync(path, time, time);
    assert.equal(await refusalOf('alpha'), null);
    utimesSync(path, time, new Date(1_700_000_001_000));
    assert.match((await refusalOf('alpha')) ?? '', /does not begin/);
  });
});

describe('R61: a model is found by name or path', () => {
  test('by name, and by the path of any GGUF file', async () => {
    writeGguf(at('outside.gguf'), testModel());
    const guide = await catalogue.resolve('shoal-guide');
    assert.equal(guide.card.name, 'Tiny');
    assert.equal((await catalogue.resolve(at('embedded/shoal-guide.gguf'))).modelId, 'shoal-guide');
    assert.deepEqual((await catalogue.resolve(at('outside.gguf'))).modelId, 'outside');
  });

  test('an unknown name is answered with the closest one', async () => {
    const error = await rejection('shoal-gide');
    assert.equal(error.code, 'model_not_found');
    assert.match(error.message, /Did you mean `shoal-guide`\?/);
    assert.match((await rejection('something-else-entirely')).message, /shoal models list/);
    assert.equal((await rejection(at('absent.gguf'))).code, 'model_not_found');
    assert.equal((await rejection('')).code, 'model_not_found');
  });
});
