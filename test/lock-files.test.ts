import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';

interface LockedPackage {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  resolved?: string;
}

/**
 * A registry may lack the packages of other platforms; npm then leaves them out of the lock file without a word, and
 * `npm ci` refuses that file everywhere. Such an entry is written by hand: version, os, cpu, `"optional": true`.
 */
for (const path of ['package-lock.json', 'toolchain/package-lock.json', 'toolchain/emulators/package-lock.json']) {
  const { packages } = JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };

  it(`${path} has an entry for every package that is asked for, so that npm ci accepts it`, () => {
    const missing = Object.entries(packages).flatMap(
      ([asking, { dependencies, devDependencies, optionalDependencies }]) =>
        Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })
          .filter((name) => !reachable(asking, name, packages))
          .map((name) => `${name}, for ${asking || 'the project'}`),
    );
    assert.deepEqual(missing, []);
  });

  it(`${path} records no download address, so that any registry can serve it`, () => {
    assert.deepEqual(
      Object.keys(packages).filter((name) => packages[name]?.resolved !== undefined),
      [],
    );
  });
}

/** Node's rule: the package's own node_modules first, then those of each folder above it. */
function reachable(asking: string, name: string, packages: Record<string, LockedPackage>): boolean {
  for (let folder = asking; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    if (`${folder === '' ? '' : `${folder}/`}node_modules/${name}` in packages) return true;
    if (folder === '') return false;
  }
}
