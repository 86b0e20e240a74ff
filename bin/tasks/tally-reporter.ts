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
    yield `${JSON.stringify({ outcome, title: data.name, reason })}\n`;
  }
}

interface TestEvent {
  type: string;
  data: { name: string; skip?: string | boolean; todo?: string | boolean; details?: { type?: string } };
}
