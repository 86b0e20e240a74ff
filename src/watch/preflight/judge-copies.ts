import { type AwayFacts, judgeAway, judgeCopy } from '../copies/index.ts';
import type { Finding } from '../status.ts';
import type { VolumeFacts } from '../volume.ts';
import { advice, type Check, checksOf, shell } from './check.ts';
import type { CopiesFacts, CopyFacts } from './gather-copies.ts';
import { judgeStore } from './judge-store.ts';

const { ok, unseen, warning, problem } = checksOf('store');

/** Judges the copies: how each place behaves, and whether it has all that the primary has. `data`: the server's own disk. Pure. */
export function judgeCopies({ copies, status }: CopiesFacts, data: VolumeFacts | null): Check[] {
  return copies.flatMap((copy) => {
    const standing = status.copies.find(({ name }) => name === copy.name);
    return [
      ...judgePlace(copy, data),
      judgeTwin(copy),
      // That it does not answer, or is no other place, was said already.
      ...(standing === undefined || standing.state === 'away' || copy.isPrimaryItself === true
        ? []
        : judgeWhole(copy.name, judgeCopy(standing))),
    ];
  });
}

/** The same checks as for the primary; a copy that nothing waits for harms nothing at once. */
function judgePlace({ name, required, store, volume }: CopyFacts, data: VolumeFacts | null): Check[] {
  return judgeStore(store, { repository: volume, data }, 'copy').map((check) => ({
    ...check,
    code: check.code.replace(/^store-/, 'copy-'),
    verdict: check.verdict === 'problem' && !required ? 'warning' : check.verdict,
    sentence: `Copy "${name}": ${check.sentence}`,
    mends: mendsOfCopy(name, store, check),
  }));
}

/** Where a copy is made otherwise than a repository, another line does it. */
function mendsOfCopy(name: string, { directory, probe }: CopyFacts['store'], { code, mends }: Check): Check['mends'] {
  const isAbsent = probe.kind === 'failed' && probe.code === 'STORE_ABSENT';
  if (code === 'store-write' && isAbsent && directory !== null) {
    return [
      advice('Mount its disk, or make the copy with the next line.'),
      shell(`holdfast copies sync ${name} --create`),
    ];
  }
  if (!['store-file-system', 'store-same-disk'].includes(code) || mends.length === 0) return mends;
  return [advice('Name a directory elsewhere for the copy in the plan, then run holdfast copies sync.')];
}

function judgeTwin({ name, isPrimaryItself }: CopyFacts): Check {
  if (isPrimaryItself === null)
    return unseen('copy-apart', `Whether copy "${name}" is a place of its own could not be tried.`);
  if (!isPrimaryItself) return ok('copy-apart', `Copy "${name}" is another place than the primary.`);
  return problem('copy-apart', `Copy "${name}" is the primary itself, under another address.`, {
    found: 'an object that was put into the primary alone',
    expected: 'a place of its own',
    why: 'It is lost with the primary, and nothing was ever copied.',
    mends: [advice('Give the copy another directory, bucket or prefix in the plan.')],
  });
}

function judgeWhole(name: string, findings: readonly Finding[]): Check[] {
  if (findings.length === 0)
    return [ok('copy-whole', `Copy "${name}" has all that the primary has, but for what is on its way.`)];
  return findings.map(({ severity, code, sentence, advice: what }) => {
    const make = severity === 'problem' ? problem : warning;
    return make(code, sentence, {
      found: 'not all that the primary has',
      expected: 'the same objects in both',
      why: 'What a copy lacks is lost with the primary.',
      mends: what === null ? [] : [advice(what)],
    });
  });
}

/** Whether anything would be left if the database's machine was lost. Pure. */
export function judgeDistance(facts: AwayFacts): Check {
  const finding = judgeAway(facts);
  if (finding === null) return ok('copy-elsewhere', "A place of the repository is away from the database's machine.");
  return warning('copy-elsewhere', finding.sentence, {
    found: facts.places.map(({ name }) => `"${name}" here`).join(', '),
    expected: 'one place elsewhere at least',
    why: 'A fire, a theft or a broken controller takes everything that is on one machine.',
    mends: finding.advice === null ? [] : [advice(finding.advice)],
  });
}
