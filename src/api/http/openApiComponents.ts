/**
 * Tidies the schemas of the OpenAPI document. The generator writes each one twice, as it is sent (`…Input`) and as
 * it is answered; only those that something refers to are kept, and a name that is free loses its suffix.
 */
type Schemas = Readonly<Record<string, unknown>>;

const SUFFIX = 'Input';
const REFERENCE = /"#\/components\/schemas\/([^"]+)"/g;

interface WithComponents {
  readonly components?: { readonly schemas?: Schemas };
}

export function tidyComponents<Document extends object>(document: Document): Document {
  const { components } = document as WithComponents;
  const schemas = components?.schemas ?? {};
  const bare = { ...document, components: { ...components, schemas: {} } };
  const used = new Set<string>();
  const queue = referredTo(bare);
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (used.has(name)) continue;
    used.add(name);
    queue.push(...referredTo(schemas[name]));
  }
  const newName = (name: string): string => {
    const short = name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : name;
    return used.has(short) ? name : short;
  };
  const kept = Object.fromEntries(
    Object.entries(schemas)
      .filter(([name]) => used.has(name))
      .map(([name, schema]) => [newName(name), schema]),
  );
  const whole = { ...bare, components: { ...bare.components, schemas: kept } };
  const renamed = JSON.stringify(whole).replaceAll(
    REFERENCE,
    (_match, name: string) => `"#/components/schemas/${newName(name)}"`,
  );
  return JSON.parse(renamed) as Document;
}

function referredTo(part: unknown): string[] {
  return [...(JSON.stringify(part) ?? '').matchAll(REFERENCE)].map((match) => match[1] as string);
}
