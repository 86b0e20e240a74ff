import type { LintedPlan, Rule } from '../finding.ts';
import { formatList } from '../words.ts';
import { named, wherever } from './named.ts';

/** Whether everything that is promised has something that keeps it, and something that shows it. */
export const readinessRules: readonly Rule[] = [
  {
    id: 'scenario-without-method',
    severity: 'error',
    means: 'A scenario does not say what brings the service back.',
    why: 'Its promise is a number without anything that keeps it.',
    settle: 'Name a method.',
    find: ({ scenarios }) =>
      wherever(
        'scenarios',
        scenarios,
        ({ method }) => method === null,
        ({ name }) => `Nothing says what brings the service back from "${name}".`,
      ),
  },
  {
    id: 'scenario-without-steps',
    severity: 'error',
    means: 'A scenario has no steps.',
    why: 'Whoever has to recover from it begins with thinking, while the time of the promise runs.',
    settle: 'Write down what is done, in its order, and who does it.',
    find: ({ scenarios }) =>
      wherever(
        'scenarios',
        scenarios,
        ({ steps }) => steps.length === 0,
        ({ name }) => `"${name}" has no steps.`,
      ),
  },
  {
    id: 'step-without-role',
    severity: 'warning',
    means: "Steps of a scenario are nobody's.",
    why: 'In an outage everybody waits for somebody else.',
    settle: 'Name the role that does each step, or says yes to it.',
    find: ({ scenarios }) =>
      wherever(
        'scenarios',
        scenarios,
        ({ steps }) => steps.some(({ role }) => role === null),
        ({ name, steps }) => {
          const count = steps.filter(({ role }) => role === null).length;
          return `Of the ${steps.length} steps of "${name}" ${count} have no role.`;
        },
      ),
  },
  {
    id: 'function-without-probe',
    severity: 'warning',
    means: 'Nothing shows whether a function works.',
    why: 'Its outage is noticed by customers first, and its return is a matter of opinion.',
    settle: 'Name a probe that has to be green for it.',
    find: ({ functions }) =>
      wherever(
        'functions',
        functions,
        ({ probes }) => probes.length === 0,
        ({ name }) => `"${name}" has no probe.`,
      ),
  },
  {
    id: 'function-without-priority',
    severity: 'warning',
    means: 'A function has no place in the order of recovery.',
    why: 'What comes back first is then decided in the outage.',
    settle: 'Give it a priority; 1 comes first.',
    find: ({ functions }) =>
      wherever(
        'functions',
        functions,
        ({ priority }) => priority === null,
        ({ name }) => `"${name}" has no priority.`,
      ),
  },
  {
    id: 'data-set-without-loss',
    severity: 'warning',
    means: 'Nobody says how much of a data set may be lost.',
    why: 'Neither schedules nor alarms can be judged by a promise that nobody made.',
    settle: 'Say how much may be lost (maxLoss).',
    find: ({ dataSets }) =>
      wherever(
        'dataSets',
        dataSets,
        ({ maxLoss }) => maxLoss === null,
        ({ name }) => `Nothing says how much of "${name}" may be lost.`,
      ),
  },
  {
    id: 'data-set-unprotected',
    severity: 'error',
    means: 'Nothing backs up a data set.',
    why: 'It is on the list of what is protected, and it is not.',
    settle:
      'Schedule backups of the cluster that it lies in; of configuration and code, say under "application" what is kept, and when.',
    find: (plan) =>
      named('dataSets', plan.dataSets).flatMap(({ option, entry }) => {
        const reason = whyUnprotected(plan, entry);
        return reason === null ? [] : [{ at: [option], says: `Nothing backs up "${entry.name}": ${reason}.` }];
      }),
  },
  {
    id: 'cluster-unscheduled',
    severity: 'error',
    means: 'No backup of a cluster is scheduled.',
    why: 'WAL and replicas alone bring nothing back: without a backup there is nothing that WAL could be applied to.',
    settle: 'Add a schedule with job "full" (or "dump", of what needs no moment in between).',
    find: (plan) =>
      wherever(
        'clusters',
        plan.clusters,
        ({ name }) => !hasBackup(plan, name),
        ({ name }) => `No full backup, increment or dump of "${name}" is scheduled.`,
      ),
  },
  {
    id: 'restores-untested',
    severity: 'warning',
    means: 'Backups are scheduled, and no restore test is.',
    why: 'A backup that was never restored is a hope.',
    settle: 'Add a restore test of the newest snapshot every day, and of a random moment every week.',
    find: ({ schedules, verification }) => {
      const own = named('schedules', schedules).filter(
        ({ entry }) => entry.job === 'full' || entry.job === 'increment',
      );
      if (own.length === 0 || verification.restoreTests.length > 0) return [];
      return [
        {
          at: ['verification.restoreTests', ...own.map(({ option }) => option)],
          says: 'No restore test is scheduled.',
        },
      ];
    },
  },
  {
    id: 'secrets-not-kept',
    severity: 'warning',
    means: 'The configuration of an application is kept, and none of its secrets.',
    why: 'An empty project cannot be filled again from names without values.',
    settle: 'Name the secrets (application.secrets); they are kept encrypted.',
    find: ({ application }) =>
      application.configuration.length === 0 || application.secrets.length > 0
        ? []
        : [{ at: ['application.configuration'], says: 'Configuration is kept, and no secret of the application.' }],
  },
];

function whyUnprotected(plan: LintedPlan, { kind, cluster: stated }: LintedPlan['dataSets'][number]): string | null {
  const { application } = plan;
  switch (kind) {
    case 'database': {
      if (stated === null && plan.clusters.length > 1) return 'it is not said in which cluster it lies';
      return hasBackup(plan, stated ?? plan.clusters[0]?.name ?? null) ? null : 'no backup of its cluster is scheduled';
    }
    case 'code': {
      if (application.repositories.length === 0) return 'no git repository is named';
      const alone = application.repositories.filter(({ mirrors, bundle }) => mirrors.length === 0 && bundle === null);
      const names = formatList(alone.map(({ name }) => `"${name}"`));
      return alone.length === 0 ? null : `${names} ${alone.length === 1 ? 'has' : 'have'} neither mirrors nor a bundle`;
    }
    default:
      if (application.configuration.length === 0) return 'no files are named';
      return plan.schedules.some(({ job }) => job === 'application') ? null : 'no copy of the application is scheduled';
  }
}

function hasBackup({ schedules }: LintedPlan, cluster: string | null): boolean {
  return schedules.some(
    (schedule) =>
      ['full', 'increment', 'dump'].includes(schedule.job) &&
      (schedule.cluster === null || schedule.cluster === cluster),
  );
}
