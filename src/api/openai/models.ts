/** Models in OpenAI's form, with what Shoal knows about them besides. */
import { z } from 'zod';
import type { ModelListing } from '../../models/listing.js';

export const modelSchema = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: z.int().describe("Seconds since the epoch: the file's modification time."),
    owned_by: z.string(),
    embedded: z.boolean().describe('Part of Shoal itself.'),
    downloaded: z
      .boolean()
      .describe('Its file is on this node; of a model that only others serve it is not.'),
    size_bytes: z.int().describe('Of the file.'),
    architecture: z.string().nullable(),
    quantisation: z.string().nullable(),
    parameters: z.number().nullable(),
    layers: z.int().nullable(),
    context_length: z.int().nullable().describe('Longest context of the model, in tokens.'),
    memory: z
      .object({
        weights_bytes: z.int(),
        cache_bytes: z.int(),
        overhead_bytes: z.int(),
        total_bytes: z.int(),
      })
      .nullable()
      .describe('Needed with the default context and sequences.'),
    license: z.string().nullable(),
    runnable: z.boolean(),
    refusal: z.string().nullable().describe('Why it cannot run here.'),
  })
  .meta({ id: 'Model' });

export const modelListSchema = z
  .object({ object: z.literal('list'), data: z.array(modelSchema) })
  .meta({ id: 'ModelList' });

/** Is its file on this machine? */
export function isHere(listing: ModelListing): boolean {
  return listing.path !== '';
}

/** `path` stays out: clients have no use for the machine's folders. */
export function toModel(listing: ModelListing): z.output<typeof modelSchema> {
  const { memory } = listing;
  return {
    id: listing.modelId,
    object: 'model',
    created: Math.floor(listing.created),
    owned_by: listing.embedded ? 'shoal' : 'user',
    embedded: listing.embedded,
    downloaded: isHere(listing),
    size_bytes: listing.fileBytes,
    architecture: listing.architecture,
    quantisation: listing.quantisation,
    parameters: listing.parameters,
    layers: listing.layers,
    context_length: listing.contextTokens,
    memory:
      memory === null
        ? null
        : {
            weights_bytes: memory.weightsBytes,
            cache_bytes: memory.cacheBytes,
            overhead_bytes: memory.overheadBytes,
            total_bytes: memory.totalBytes,
          },
    license: listing.license,
    runnable: listing.refusal === null,
    refusal: listing.refusal,
  };
}
