/** Test reporter: a line for each failure and skip, nothing for what passes; counts go to the file in SHOAL_TEST_COUNTS. */
import { appendFileSync } from 'node:fs';

export default async function* report(source) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for await (const { type, data } of source) {
    if (type === 'test:stdout' || type === 'test:stderr') yield data.message;
    if (type === 'test:diagnostic' || data?.details?.type === 'suite') {
      if (type === 'test:fail') yield* failure(data);
      continue;
    }
    if (type === 'test:pass' && data.skip !== undefined) {
      counts.skipped += 1;
      yield `SKIPPED ${data.name}: ${data.skip === true ? 'no reason given' : data.skip}\n`;
    } else if (type === 'test:pass') {
      counts.passed += 1;
    } else if (type === 'test:fail') {
      counts.failed += 1;
      yield* failure(data);
    }
  }
  appendFileSync(process.env.SHOAL_TEST_COUNTS, `${JSON.stringify(counts)}\n`);
}

function* failure(data) {
  if (data.details?.error?.failureType === 'subtestsFailed') return;
  const cause = data.details?.error?.cause ?? data.details?.error;
  yield `\nFAILED ${data.name}\n  ${data.file ?? ''}:${data.line ?? ''}\n${cause?.stack ?? String(cause)}\n`;
}
