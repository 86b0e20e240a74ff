import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build, type Plugin } from 'esbuild';

/** What is started or imported by its name; worker threads come to it, wherever they are. */
const ENTRIES = ['cli/main.js', 'index.js'];
const WORKER = /new Worker\(\s*new URL\(['"](\.[^'"]*)['"],\s*import\.meta\.url\)/g;
/** Files in a folder of `target` find the others by this; of those elsewhere none may look. */
const OWN_PLACE = 'import.meta.url';

/**
 * Joins the compiled modules in `target` into few files: a backup loads some five hundred modules, which costs 0.1 s of computing that it does not
 * cost in a dozen files. Packages stay outside; what is imported lazily stays in files of its own; types stay as they are.
 */
export async function bundle(target: string): Promise<void> {
  const modules = globSync('**/*.js', { cwd: target });
  const workers = modules.flatMap((module) =>
    [...readFileSync(join(target, module), 'utf8').matchAll(WORKER)].map(([, name]) => join(dirname(module), name!)),
  );
  const { outputFiles } = await build({
    entryPoints: [...ENTRIES, ...workers].map((name) => join(target, name)),
    ...{ outdir: target, outbase: target, chunkNames: 'parts/[name]-[hash]' },
    ...{ bundle: true, splitting: true, write: false, packages: 'external', logLevel: 'warning' },
    ...{ format: 'esm', platform: 'node', target: 'node24', plugins: [keepPlaces(target)] },
  });
  for (const module of modules) rmSync(join(target, module));
  for (const { path, text } of outputFiles) {
    const name = relative(target, path);
    if (text.includes(OWN_PLACE) && name.split('/').length !== 2) {
      throw new Error(`"${name}" looks for files beside itself, which only those in a folder of dist/ can`);
    }
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  for (const worker of workers) if (!existsSync(join(target, worker))) throw new Error(`"${worker}" is missing`);
}

/** A module that looks for a file beside itself goes on to look there, from whichever file of a folder of `target` it has come into. */
function keepPlaces(target: string): Plugin {
  return {
    name: 'keep-places',
    setup: ({ onLoad }) =>
      onLoad({ filter: /\.js$/ }, ({ path }) => {
        const place = `new URL(${JSON.stringify(`../${relative(target, path)}`)}, ${OWN_PLACE}).href`;
        return { contents: readFileSync(path, 'utf8').replaceAll(OWN_PLACE, place), loader: 'js' };
      }),
  };
}
