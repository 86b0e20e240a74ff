import { formatQuantity } from '../../lib/index.ts';
import type { Check, DoctorOptions, DoctorReport, Mend, Verdict } from '../../watch/index.ts';
import type { Command, CommandContext, CommandInput } from '../command.ts';
import { toCredential } from '../credential.ts';
import { readDatabaseIfGiven } from '../database.ts';
import { warnOfOther } from '../expect-repository.ts';
import { listPlaces, locatePlaces, openPlaceList } from '../open-places.ts';
import type { Json, Paint } from '../output/index.ts';

/** `holdfast doctor`. */
export const doctor: Command = {
  path: ['doctor'],
  summary: 'Look for whatever would keep a backup or a recovery from working, and say what mends it.',
  details: [
    'It looks at the server, its settings and the rights of the role, at this host, the keys, the store and the state of protection, as far as it is told',
    'of them, and says what it could not look at. It changes nothing: a few small objects are stored in each place of the repository and removed again.',
    'It ends with 3 when it found a problem, also when everything else is well, with 1 when the only one is that the server did not answer, and with 2 when neither a server nor a repository was named.',
  ],
  examples: [
    { line: 'holdfast doctor', does: 'What is wrong, and the command that mends it.' },
    { line: 'holdfast doctor --all', does: 'What is well, too.' },
  ],
  access: 'wanted',
  database: 'wanted',
  flags: [{ flag: '--all', help: 'Show what is well, too.' }],
  run: async (context, input) => {
    const { runDoctor } = await import('../../watch/index.ts');
    const { plan, clock } = context;
    const report = await runDoctor({
      clock,
      cluster: plan.cluster.nameOrigin === null ? null : plan.cluster.name,
      defaultCluster: plan.cluster.name,
      source: await readDatabaseIfGiven(context),
      ...(await openStores(context)),
      credential:
        plan.repository.credential === null ? null : toCredential(plan.repository.credential, context.redaction),
      passphraseFile: findPassphraseFile(context, input),
      stateDirectory: plan.stateDirectory,
    });
    return {
      reason: reasons[report.outcome],
      json: reportDocument(report),
      text: (paint) => reportText(report, input.isSet('all'), paint),
    };
  },
};

const reasons = { well: 'done', problem: 'problemFound', 'not-looked': 'failed', 'not-told': 'usage' } as const;

/** Every place that is named, with its store. */
async function openStores(context: CommandContext): Promise<Pick<DoctorOptions, 'store' | 'copies' | 'places'>> {
  const { repository } = context.plan;
  if (repository.primary === null) return { store: null, copies: [], places: [] };
  const { directoryOfLocation } = await import('../../repository/index.ts');
  const opened = await openPlaceList(context.plan, context, null);
  const located = opened.map((place, index) => ({
    ...place,
    directory: directoryOfLocation(listPlaces(repository)[index]!.location),
  }));
  const [primary, ...copies] = located;
  await warnOfOther(context.plan, primary!.store, context);
  return { store: primary!, copies, places: await locatePlaces(context.plan) };
}

/** Only what flags and environment name; a file that the plan refers to was read, and its name is not handed on. */
function findPassphraseFile({ plan, environment }: CommandContext, input: CommandInput): string | null {
  if (plan.repository.credential?.kind !== 'passphrase') return null;
  return input.optional('passphrase-file') ?? environment.HOLDFAST_PASSPHRASE_FILE ?? null;
}

function reportDocument({ cluster, checks, outcome }: DoctorReport): { readonly [key: string]: Json } {
  const { ok, warning, problem, unseen } = countVerdicts(checks);
  return {
    cluster,
    well: outcome === 'well',
    counts: { ok, warning, problem, unseen },
    checks: checks.map(({ area, code, verdict, sentence, found, expected, why, mends }) => ({
      ...{ area, code, verdict, sentence, found, expected, why },
      mends: mends.map(({ kind, text }) => ({ kind, text })),
    })),
  };
}

function countVerdicts(checks: readonly Check[]): Record<Verdict, number> {
  const counts = { ok: 0, warning: 0, problem: 0, unseen: 0 };
  for (const { verdict } of checks) counts[verdict] += 1;
  return counts;
}

function reportText({ cluster, checks, outcome }: DoctorReport, showsAll: boolean, paint: Paint): string[] {
  const areas = [...new Set(checks.map(({ area }) => area))];
  const lines = areas.flatMap((area) => {
    const own = checks.filter((check) => check.area === area);
    const well = own.filter(({ verdict }) => verdict === 'ok').length;
    const shown = own.filter(({ verdict }) => showsAll || verdict !== 'ok');
    const head = `${paint.title(area)}  ${paint.faint(`${formatQuantity(well, 'thing')} as they should be`)}`;
    return [head, ...shown.flatMap((check) => checkText(check, paint)), ''];
  });
  return [`${paint.strong(`Cluster ${cluster}`)}`, '', ...lines, verdictText(checks, outcome, paint)];
}

function checkText({ verdict, sentence, found, expected, why, mends }: Check, paint: Paint): string[] {
  const marks: Record<Verdict, string> = {
    ok: paint.good('✓'),
    warning: paint.warning('!'),
    problem: paint.bad('✗'),
    unseen: paint.faint('?'),
  };
  return [
    `${marks[verdict]} ${verdict === 'unseen' ? paint.faint(sentence) : sentence}`,
    ...(found === null ? [] : [`    ${paint.faint('found')}     ${found}`]),
    ...(expected === null ? [] : [`    ${paint.faint('expected')}  ${expected}`]),
    ...(why === null ? [] : [`    ${paint.faint('why')}       ${why}`]),
    ...mends.map((mend) => mendText(mend, paint)),
  ];
}

function mendText({ kind, text }: Mend, paint: Paint): string {
  const label = { sql: 'sql  ', shell: 'shell', advice: '     ' }[kind];
  return `    ${paint.accent(`→ ${label}`)}   ${kind === 'advice' ? text : paint.strong(text)}`;
}

function verdictText(checks: readonly Check[], outcome: DoctorReport['outcome'], paint: Paint): string {
  const { warning, problem, unseen } = countVerdicts(checks);
  const rest = `${formatQuantity(warning, 'warning')}, ${unseen} not looked at`;
  switch (outcome) {
    case 'well':
      return `${paint.good('No problem was found')}; ${rest}.`;
    case 'problem':
      return `${paint.bad(`${formatQuantity(problem, 'problem')} found`)}; ${rest}.`;
    case 'not-looked':
      return `${paint.bad('The server did not answer')}; ${rest}.`;
    case 'not-told':
      return `${paint.bad('Neither a server nor a repository was named')}, so that only this host was looked at: give --database or DATABASE_URL, --repository or HOLDFAST_REPOSITORY, and a key.`;
  }
}
