import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { listImports, listWorldlyCalls } from './support/architecture/imports.ts';
import { findBreaches, findIdleFiles } from './support/architecture/law.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

function readCheckout(): Map<string, string> {
  const paths = globSync('{src,test,examples,bench,campaign,bin}/**/*.{ts,mjs}', {
    cwd: root,
    exclude: (path) => path.includes('node_modules'),
  });
  return new Map(paths.sort().map((path) => [path, readFileSync(`${root}${path}`, 'utf8')]));
}

describe('the law of the layers', () => {
  it('is kept by every file of src/', () => {
    const breaches = findBreaches(readCheckout());
    assert.equal(breaches.length, 0, `${breaches.length} breaches:\n${breaches.join('\n')}`);
  });

  it('leaves no file of src/ that nothing uses', () => {
    const idle = findIdleFiles(readCheckout());
    assert.equal(idle.length, 0, `no way leads from src/index.ts or src/cli/main.ts to\n${idle.join('\n')}`);
  });

  const cases: { title: string; files: Record<string, string>; breaches: string[] }[] = [
    {
      title: 'allows a folder to import from one above it, through its index.ts',
      files: {
        'src/lib/index.ts': "export * from './bytes.ts';",
        'src/lib/bytes.ts': '',
        'src/postgres/lsn.ts': "import { ByteReader } from '../lib/index.ts';",
      },
      breaches: [],
    },
    {
      title: 'finds an import from a folder below',
      files: { 'src/lib/a.ts': "import { x } from '../cli/index.ts';" },
      breaches: ['src/lib/a.ts: imports "../cli/index.ts"; cli does not stand above lib in the list of layers'],
    },
    {
      title: 'finds an import of a type from a folder below',
      files: {
        'src/ledger/a.ts': "import type {\n  X,\n} from '../watch/index.ts';",
        'src/ledger/b.ts': "export const x: import('../watch/index.ts').X = 1;",
      },
      breaches: [
        'src/ledger/a.ts: imports "../watch/index.ts"; watch does not stand above ledger in the list of layers',
        'src/ledger/b.ts: imports "../watch/index.ts"; watch does not stand above ledger in the list of layers',
      ],
    },
    {
      title: 'finds a re-export and a dynamic import from a folder below',
      files: {
        'src/ledger/a.ts': "export * from '../restore/index.ts';",
        'src/ledger/b.ts': "const late = await import('../restore/index.ts');",
      },
      breaches: [
        'src/ledger/a.ts: imports "../restore/index.ts"; restore does not stand above ledger in the list of layers',
        'src/ledger/b.ts: imports "../restore/index.ts"; restore does not stand above ledger in the list of layers',
      ],
    },
    {
      title: 'finds a worker whose file lies in a folder below, and one that is named past its index.ts',
      files: {
        'src/ledger/a.ts': "new Worker(new URL('../prove/worker.ts', import.meta.url));",
        'src/watch/a.ts': "new Worker(new URL('../prove/worker.ts', import.meta.url));",
      },
      breaches: [
        'src/ledger/a.ts: imports "../prove/worker.ts"; prove does not stand above ledger in the list of layers',
        'src/ledger/a.ts: imports "../prove/worker.ts"; another folder is imported through its index.ts only',
        'src/watch/a.ts: imports "../prove/worker.ts"; another folder is imported through its index.ts only',
      ],
    },
    {
      title: 'keeps postgres/ and repository/ apart in both directions',
      files: {
        'src/postgres/a.ts': "import '../repository/index.ts';",
        'src/repository/a.ts': "import '../postgres/index.ts';",
      },
      breaches: [
        'src/postgres/a.ts: imports "../repository/index.ts"; postgres/ and repository/ never import each other',
        'src/repository/a.ts: imports "../postgres/index.ts"; postgres/ and repository/ never import each other',
      ],
    },
    {
      title: 'lets plan/ import only lib/',
      files: { 'src/plan/a.ts': "import '../lib/index.ts';\nimport '../postgres/index.ts';" },
      breaches: ['src/plan/a.ts: imports "../postgres/index.ts"; plan/ imports only lib/'],
    },
    {
      title: 'keeps the order inside a wing, where the own files of the wing have their place, too',
      files: {
        'src/protect/backup/a.ts': "import '../wal/index.ts';",
        'src/protect/wal/a.ts': "import '../backup/index.ts';",
        'src/recover/steps/a.ts': "import '../inbox/index.ts';\nimport '../triage.ts';",
        'src/recover/run-recovery.ts': "import './drill/index.ts';",
        'src/recover/index.ts': "export * from './drill/index.ts';",
      },
      breaches: [
        'src/protect/wal/a.ts: imports "../backup/index.ts"; in the wing protect/, backup/ does not stand above wal/',
        'src/recover/run-recovery.ts: imports "./drill/index.ts"; in the wing recover/, drill/ does not stand above what stands in the wing itself',
      ],
    },
    {
      title: 'wants another folder to be imported through its index.ts',
      files: {
        'src/postgres/a.ts': "import '../lib/bytes.ts';",
        'src/repository/pack/a.ts': "import '../codec/frame.ts';\nimport '../repository.ts';",
        'src/protect/backup/run-backup.ts': "import './stages/copy.ts';\nimport '../wal/receiver.ts';",
      },
      breaches: [
        'src/postgres/a.ts: imports "../lib/bytes.ts"; another folder is imported through its index.ts only',
        'src/repository/pack/a.ts: imports "../codec/frame.ts"; another folder is imported through its index.ts only',
        'src/protect/backup/run-backup.ts: imports "../wal/receiver.ts"; another folder is imported through its index.ts only',
      ],
    },
    {
      title: 'finds a file that goes through the index.ts of its own folder',
      files: { 'src/repository/pack/a.ts': "import '../index.ts';" },
      breaches: [
        'src/repository/pack/a.ts: imports "../index.ts"; a file does not import the index.ts of a folder that it lies in',
      ],
    },
    {
      title: 'finds an import of the public library, of a test and of what lies outside src/',
      files: {
        'src/cli/a.ts': "import 'holdfast';\nimport './b.test.ts';\nimport '../../test/support/scratch.ts';",
        'src/cli/c.ts': "import manifest from '../../package.json' with { type: 'json' };",
      },
      breaches: [
        'src/cli/a.ts: imports "holdfast"; the public library is for users of it',
        'src/cli/a.ts: imports "./b.test.ts"; a test is not part of the product',
        'src/cli/a.ts: imports "../../test/support/scratch.ts"; nothing outside src/ belongs to the product',
      ],
    },
    {
      title: 'finds a folder that is not in the list',
      files: { 'src/utils/a.ts': '' },
      breaches: ['src/utils/a.ts: its folder is not in the list of layers'],
    },
    {
      title:
        'finds domain code that asks for real time or real chance, and leaves the clock and the command line alone',
      files: {
        'src/ledger/a.ts': 'const at = Date.now(), day = new Date(), chance = Math.random();',
        'src/ledger/b.ts': 'setTimeout(f, 1); setInterval(f, 1); performance.now();',
        'src/ledger/c.ts': "import { setTimeout } from 'node:timers/promises';",
        'src/lib/clock.ts': 'Date.now(); setTimeout(f, 1);',
        'src/cli/main.ts': 'Date.now(); setTimeout(f, 1);',
        'src/ledger/d.test.ts': 'Date.now();',
      },
      breaches: [
        'src/ledger/a.ts: calls Date.now; take a Clock or what is handed in',
        'src/ledger/a.ts: calls new Date(); take a Clock or what is handed in',
        'src/ledger/a.ts: calls Math.random; take a Clock or what is handed in',
        'src/ledger/b.ts: calls performance.now; take a Clock or what is handed in',
        'src/ledger/b.ts: calls setTimeout; take a Clock or what is handed in',
        'src/ledger/b.ts: calls setInterval; take a Clock or what is handed in',
        'src/ledger/c.ts: imports "node:timers/promises"; take a Clock',
        'src/ledger/c.ts: calls setTimeout; take a Clock or what is handed in',
      ],
    },
  ];
  for (const { title, files, breaches } of cases) {
    it(title, () => assert.deepEqual(findBreaches(new Map(Object.entries(files))), breaches));
  }

  it('finds a file that only a test imports, and files that only import each other', () => {
    const files = {
      'src/cli/main.ts': "import './used.ts';",
      'src/cli/used.ts': "new Worker(new URL('./worker.ts', import.meta.url));",
      'src/cli/worker.ts': '',
      'src/cli/tested.ts': '',
      'src/cli/tested.test.ts': "import './tested.ts';",
      'src/cli/left.ts': "import './right.ts';",
      'src/cli/right.ts': "import './left.ts';",
      'src/lib/benched.ts': '',
      'bench/main.ts': "import '../src/lib/benched.ts';",
    };
    assert.deepEqual(findIdleFiles(new Map(Object.entries(files))), [
      'src/cli/tested.ts',
      'src/cli/left.ts',
      'src/cli/right.ts',
    ]);
  });
});

describe('reading a source file', () => {
  it('finds every form of import', () => {
    const source = `
      import './effect.ts';
      import one, { two } from "./double.ts";
      import type { Three } from './type.ts';
      export { four } from './re-export.ts';
      export * as five from './star.ts';
      const six = await import('./dynamic.ts');
      type Seven = import('./in-type.ts').Seven;
      const worker = new Worker(
        new URL('./worker.ts', import.meta.url),
      );
      import {
        eight, // a remark; with a semicolon and it's quote
      } from './lines.ts';`;
    assert.deepEqual(listImports(source).sort(), [
      './double.ts',
      './dynamic.ts',
      './effect.ts',
      './in-type.ts',
      './lines.ts',
      './re-export.ts',
      './star.ts',
      './type.ts',
      './worker.ts',
    ]);
  });

  it('takes nothing from comments, strings, templates and regular expressions', () => {
    const source = `
      // import './a.ts'; Date.now()
      /* import './b.ts'; Math.random() */
      const text = "import './c.ts'; setTimeout(";
      const template = \`import './d.ts'; \${value} Date.now()\`;
      const pattern = /import '.\\/e.ts'; ["'\`/] setInterval/;
      const quotient = total / 2 / count; const escaped = 'it\\'s Date.now()';`;
    assert.deepEqual(listImports(source), []);
    assert.deepEqual(listWorldlyCalls(source), []);
  });

  it('takes what stands in the expressions of a template, also of one inside another', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the source of a program.
    assert.deepEqual(listWorldlyCalls('`at ${`${Math.random()}`} and ${{ now: Date.now() }.now} Date`'), [
      'Date.now',
      'Math.random',
    ]);
  });

  it('does not take a moment that is given for one that is asked', () => {
    assert.deepEqual(listWorldlyCalls('new Date(clock.now()); clock.setTimeouts; Date.parse(text);'), []);
    assert.deepEqual(listWorldlyCalls('const day = new Date;'), ['new Date()']);
  });
});
