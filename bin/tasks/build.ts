/** `npm run build`: JavaScript and types of src/ in dist/, as they are published. */
import { copyFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bundle } from './bundle.ts';
import { conclude, root, runCommand } from './node-tests.ts';

const source = join(root, 'src');
const target = join(root, 'dist');

rmSync(target, { recursive: true, force: true });
const compiled = await runCommand('compile', join(root, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json']);
if (compiled.passed) {
  pointUrlsAtJavaScript();
  await bundle(target);
  copyOtherFiles();
}
conclude('build', [compiled]);

/**
 * The compiler turns `.ts` into `.js` in imports, but not in `new URL('./worker.ts', import.meta.url)`, by which a
 * worker's file is found; that is done here, so that the sources need no case for either form.
 */
function pointUrlsAtJavaScript(): void {
  for (const path of globSync('**/*.js', { cwd: target })) {
    const file = join(target, path);
    const before = readFileSync(file, 'utf8');
    const after = before.replace(
      /new URL\((['"])(\.[^'"]*)\.ts\1,\s*import\.meta\.url\)/g,
      (_whole, quote: string, name: string) => {
        const compiledFile = join(dirname(file), `${name}.js`);
        if (!existsSync(compiledFile)) throw new Error(`"${path}" refers to "${name}.ts", which was not compiled`);
        return `new URL(${quote}${name}.js${quote}, import.meta.url)`;
      },
    );
    if (after !== before) writeFileSync(file, after);
  }
}

/** Whatever lies beside the sources and is no TypeScript belongs to the program as it is: scripts, pictures, tables. */
function copyOtherFiles(): void {
  for (const entry of globSync('**/*', { cwd: source, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.endsWith('.ts')) continue;
    const from = join(entry.parentPath, entry.name);
    const to = join(target, from.slice(source.length));
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(from, to);
  }
}
