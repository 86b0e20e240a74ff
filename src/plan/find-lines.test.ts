import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { findLines, lineOf } from './find-lines.ts';

/** Every path in a value, as problems name them. */
function pathsIn(value: unknown, path = ''): string[] {
  const inside = Array.isArray(value)
    ? value.flatMap((each, index) => pathsIn(each, `${path}[${index}]`))
    : typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([key, each]) => pathsIn(each, path === '' ? key : `${path}.${key}`))
      : [];
  return [path, ...inside];
}

describe('the lines of a plan', () => {
  it('are found for every option of any JSON', () => {
    const key = fc.stringMatching(/^[a-z][a-zA-Z0-9]{0,5}$/);
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ depthSize: 'small' }, fc.string(), fc.integer(), tie('list'), tie('object')),
      list: fc.array(tie('value'), { maxLength: 4 }),
      object: fc.dictionary(key, tie('value'), { maxKeys: 4 }),
    }));
    fc.assert(
      fc.property(value, (plan) => {
        const text = JSON.stringify(plan, null, 2);
        const { lines, repeated } = findLines(text, 'json');
        assert.deepEqual(repeated, []);
        assert.deepEqual([...lines.keys()].sort(), [...new Set(pathsIn(plan))].sort());
        // One line for each key and each element of a list, in this order.
        for (const [path, line] of lines) {
          const name = /([^.[\]]+)$/.exec(path)?.[1];
          if (name !== undefined) assert.match(text.split('\n')[line - 1]!, new RegExp(`^ *"${name}": `), path);
        }
      }),
    );
  });

  it('are found in a module, whatever stands between', () => {
    const text = [
      "import { definePlan } from 'holdfast';", // 1
      '', // 2
      `const minutes = (n: number): string => \`every \${n}m\`; // definePlan: a plan`, // 3
      'export default definePlan({', // 4
      '  /* clusters: [] */ clusters: [', // 5
      "    { name: 'shop', connection: { env: 'DATABASE_URL' } },", // 6
      '  ],', // 7
      '  ...others,', // 8
      '  "functions": [', // 9
      '    { name: "a, {b}", rto: minutes(15),', // 10
      `      title: \`it's \${'}'} [\`,`, // 11
      '    },', // 12
      '    ...names.map((name) => ({ name, rto: 1 })),', // 13
      '    {', // 14
      "      rpo: '1m' as const,", // 15
      '    },', // 16
      '  ],', // 17
      '});', // 18
    ].join('\n');
    const { lines } = findLines(text, 'module');
    const found = [
      'clusters',
      'clusters[0].connection.env',
      'functions[0].rto',
      'functions[0].title',
      'functions[2].rpo',
    ];
    assert.deepEqual(
      found.map((path) => lines.get(path)),
      [5, 6, 10, 11, 15],
    );
    assert.equal(lineOf(lines, 'functions[2].dataSets[1]'), 14);
    assert.equal(lineOf(lines, 'functions[1].name'), 13);
    assert.equal(lineOf(lines, 'retention.default'), 4);
  });

  it('are found in a plan that is defined before it is exported, or exported without being defined', () => {
    const before = [
      'const shop = definePlan(/* all of it */ {', // 1
      '  functions: [],', // 2
      '});', // 3
      'export default shop; // by definePlan(), as it is', // 4
    ];
    assert.equal(lineOf(findLines(before.join('\n'), 'module').lines, 'functions'), 2);
    const plain = ['export default {', '  functions: [],', '} satisfies Plan;'];
    assert.equal(lineOf(findLines(plain.join('\n'), 'module').lines, 'functions'), 2);
  });

  it('are not known of a plan that is made somewhere else', () => {
    const { lines } = findLines("export { plan as default } from './plan.ts';", 'module');
    assert.equal(lineOf(lines, 'functions[0]'), null);
  });

  it('tell a key that stands twice', () => {
    const { repeated } = findLines('{\n "wal": {},\n "backup": { "wal": 1 },\n "wal": {}\n}', 'json');
    assert.deepEqual(repeated, [{ option: 'wal', line: 4 }]);
  });
});
