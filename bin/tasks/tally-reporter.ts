import { inspect } from 'node:util';

/**
 * A reporter of node's test runner that writes one line of JSON for each test, for the summary at the end of a task.
 * Files and suites are left out: only what has no tests of its own is a test.
 */
export default async function* tally(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.details?.type === 'suite') continue;
    const skip = data.skip ?? data.todo;
    const outcome = type === 'test:fail' ? 'failed' : skip !== undefined ? 'skipped' : 'passed';
    const reason = typeof skip === 'string' && skip !== '' ? skip : undefined;
    const failure =
      outcome === 'failed' ? { place: `${data.file}:${data.line}`, error: told(data.details?.error) } : {};
    yield `${JSON.stringify({ outcome, title: data.name, reason, ...failure })}\n`;
  }
}

/** What the test threw; node puts that into an error of its own as `cause`. */
function told(error: unknown): string {
  const thrown = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return typeof thrown === 'string' ? thrown : inspect(thrown, { depth: 4, colors: false });
}

interface TestEvent {
  type: string;
  data: {
    name: string;
    file?: string;
    line?: number;
    skip?: string | boolean;
    todo?: string | boolean;
    details?: { type?: string; error?: unknown };
  };
}
