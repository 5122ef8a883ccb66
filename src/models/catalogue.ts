/**
 * Every model that this machine has: the embedded one and the GGUF files in the folders of `--models`. Used by the
 * API for lists, by the command line, and to find a model by name or path. Headers are read once for each version
 * (size and modification time) of a file.
 */
import { basename, dirname, join, resolve as resolvePath } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ShoalError } from '../shared/errors.js';
import type { ModelId } from '../shared/ids.js';
import { packageRoot } from '../shared/packageRoot.js';
import type { ModelCard } from './card.js';
import { closestName } from './closestName.js';
import { bareListing, type ModelListing } from './listing.js';
import { findModelFiles, type Unreadable } from './modelFiles.js';
import { groupFiles, type ModelFiles, modelAt } from './modelNames.js';
import { listingOf, type ModelReading, readModel } from './readModel.js';

export interface CatalogueOptions {
  /** Folders to look into, with all folders in them. */
  readonly directories: readonly string[];
  /** @default `models/` of the package */
  readonly embeddedDirectory?: string;
}

/** A model that can run. */
export interface ResolvedModel {
  readonly modelId: ModelId;
  /** The file to load; of a split model the first part. */
  readonly path: string;
  readonly card: ModelCard;
}

export class ModelCatalogue {
  readonly #options: CatalogueOptions;
  readonly #embeddedDirectory: string;
  /** By path, size and time of all parts. */
  #readings = new Map<string, ModelReading>();

  constructor(options: CatalogueOptions) {
    this.#options = options;
    this.#embeddedDirectory = options.embeddedDirectory ?? join(packageRoot(), 'models');
  }

  /** All models, the embedded one first, then by name. Folders are looked through anew each time. */
  async list(): Promise<readonly ModelListing[]> {
    const { models, unreadable } = await this.#find();
    const kept = new Map<string, ModelReading>();
    const listings: ModelListing[] = [];
    for (const model of models) {
      const reading = await this.#read(model);
      kept.set(keyOf(model), reading);
      listings.push(listingOf(model, reading, this.#isEmbedded(model)));
    }
    // What has gone from the folders goes from memory too.
    this.#readings = kept;
    for (const { path, reason } of unreadable) {
      // The path stands for the name.
      listings.push(bareListing({ modelId: basename(path) as ModelId, path, refusal: reason }));
    }
    return listings;
  }

  /**
   * @param nameOrPath a model id, or the path of a GGUF file
   * @throws ShoalError `model_not_found`, with the closest name; `model_unsupported` when it cannot run, with why
   */
  async resolve(nameOrPath: string): Promise<ResolvedModel> {
    const { models } = await this.#find();
    const path = resolvePath(nameOrPath);
    const model =
      models.find(({ modelId }) => modelId === nameOrPath) ??
      models.find(({ files }) => files.some((file) => file.path === path)) ??
      (await modelAt(path));
    if (model === null)
      throw notFound(
        nameOrPath,
        models.map(({ modelId }) => modelId),
      );
    const reading = await this.#read(model);
    if (reading.card === null || reading.refusal !== null) {
      throw new ShoalError('model_unsupported', `${model.modelId} cannot run. ${reading.refusal}`);
    }
    return { modelId: model.modelId, path: model.files[0].path, card: reading.card };
  }

  async #find(): Promise<{ models: readonly ModelFiles[]; unreadable: readonly Unreadable[] }> {
    const found = await findModelFiles([this.#embeddedDirectory, ...this.#options.directories]);
    return { models: groupFiles(found.files, this.#embeddedDirectory), unreadable: found.unreadable };
  }

  #isEmbedded({ files }: ModelFiles): boolean {
    return dirname(files[0].path) === this.#embeddedDirectory;
  }

  async #read(model: ModelFiles): Promise<ModelReading> {
    const key = keyOf(model);
    let reading = this.#readings.get(key);
    if (reading === undefined) {
      // Reading a header blocks for milliseconds: other work goes on between two.
      await nextTurn();
      reading = readModel(model);
      this.#readings.set(key, reading);
    }
    return reading;
  }
}

function keyOf({ files }: ModelFiles): string {
  return files.map(({ path, sizeBytes, modifiedMs }) => `${path}\0${sizeBytes}\0${modifiedMs}`).join('\0');
}

function notFound(name: string, known: readonly string[]): ShoalError {
  const closest = closestName(name, known);
  const hint = closest === null ? '`shoal models list` shows all.' : `Did you mean \`${closest}\`?`;
  return new ShoalError('model_not_found', `There is no model \`${name}\`. ${hint}`, { param: 'model_id' });
}
