import { formatExactDuration } from '../../../lib/index.ts';
import type { Rule } from '../finding.ts';
import { named, wherever } from './named.ts';

/** Who does what, who is told, and whether anybody reaches them. */
export const peopleRules: readonly Rule[] = [
  {
    id: 'C12',
    severity: 'error',
    means:
      'People are to be told of an outage by a time at which a function may be back already, and nobody says what becomes of the message then.',
    why: 'Of all outages that go as planned they would never be told, or be told of one that is over.',
    settle: 'Say what becomes of it (ifResolvedEarlier: "tell-at-resolution" or "tell-nothing"), or tell them sooner.',
    find: ({ communication, functions, objectives }) => {
      const [shortest] = named('functions', functions).sort((a, b) => a.entry.rto - b.entry.rto);
      if (shortest === undefined) return [];
      const { option, entry: fastest } = shortest;
      return named('communication', communication).flatMap((message) => {
        const { on, within, ifOutFor, ifResolvedEarlier, audience } = message.entry;
        const isOfOutage = on === 'outage-begun' || on === 'detected';
        if (!isOfOutage || within === null || ifOutFor !== null || ifResolvedEarlier !== null) return [];
        // What is told from the detection on is told that much later than the outage began.
        const unnoticed = on === 'detected' ? objectives.detection : 0;
        if (unnoticed + within <= fastest.rto) return [];
        const noticing = unnoticed === 0 ? '' : ` of noticing, which takes ${formatExactDuration(unnoticed)}`;
        return [
          {
            at: [`${message.option}.within`, `${option}.rto`],
            says: `"${message.entry.name}" tells ${audience} within ${formatExactDuration(within)}${noticing}, and "${fastest.name}" may be back after ${formatExactDuration(fastest.rto)}.`,
          },
        ];
      });
    },
  },
  {
    id: 'message-without-channel',
    severity: 'error',
    means: 'People are to be told by a time, and there is no way by which they are.',
    why: 'The deadline passes, and nobody has sent anything.',
    settle: 'Name channels or contacts.',
    find: ({ communication }) =>
      wherever(
        'communication',
        communication,
        ({ within, every, channels, contacts }) =>
          (within !== null || every !== null) && channels.length === 0 && contacts.length === 0,
        ({ name, audience }) => `"${name}" has a deadline for ${audience}, and neither a channel nor a contact.`,
      ),
  },
  {
    id: 'message-without-deadline',
    severity: 'warning',
    means: 'People are to be told, and nobody says by when.',
    why: 'What has no time is done last, or not at all.',
    settle: 'Say how soon (within), how often (every), or both.',
    find: ({ communication }) =>
      wherever(
        'communication',
        communication,
        ({ within, every }) => within === null && every === null,
        ({ name, audience }) => `"${name}" has no time by which ${audience} has to be told.`,
      ),
  },
  {
    id: 'message-without-role',
    severity: 'warning',
    means: 'Nobody is named who tells people.',
    why: 'In an outage everybody believes that somebody else has done it.',
    settle: 'Name the role that does it.',
    find: ({ communication }) =>
      wherever(
        'communication',
        communication,
        ({ role }) => role === null,
        ({ name, audience }) => `Nobody is named who tells ${audience} (${name}).`,
      ),
  },
  {
    id: 'role-without-contact',
    severity: 'error',
    means: 'Nobody has a role.',
    why: 'What it has to do in a recovery is done by nobody.',
    settle: 'Name a contact.',
    find: ({ roles }) =>
      wherever(
        'roles',
        roles,
        ({ contact }) => contact === null,
        ({ name }) => `Nobody has the role "${name}".`,
      ),
  },
  {
    id: 'role-without-deputy',
    severity: 'error',
    means: 'Nobody else has a role when the first cannot be reached.',
    why: 'Outages come on holidays, too.',
    settle: 'Name a deputy who is somebody else.',
    find: ({ roles }) =>
      wherever(
        'roles',
        roles,
        ({ contact, deputy }) => deputy === null || deputy === contact,
        ({ name, deputy }) =>
          deputy === null ? `The role "${name}" has no deputy.` : `The deputy of "${name}" is the same person.`,
      ),
  },
  {
    id: 'contact-unreachable',
    severity: 'error',
    means: 'A contact can be reached in no way.',
    why: 'Whoever counts on this person finds a name and nothing else.',
    settle: 'Give a telephone number, an e-mail address, or any other way.',
    find: ({ contacts }) =>
      wherever(
        'contacts',
        contacts,
        ({ phone, email, otherwise }) => phone === null && email === null && otherwise === null,
        ({ name }) => `"${name}" has neither a number nor an address.`,
      ),
  },
  {
    id: 'vendor-unreachable',
    severity: 'error',
    means: 'Nobody says how the support of a vendor is reached.',
    why: 'It is looked for in the outage, behind a login that may be out as well.',
    settle: 'Give a contact.',
    find: ({ vendors }) =>
      wherever(
        'vendors',
        vendors,
        ({ contact }) => contact === null,
        ({ name }) => `The support of "${name}" has no contact.`,
      ),
  },
  {
    id: 'vendor-without-account',
    severity: 'warning',
    means: 'The account or the project by which a vendor knows the service is not named.',
    why: 'Support asks for it first, and whoever knows it may not be there.',
    settle: 'Name the account.',
    find: ({ vendors }) =>
      wherever(
        'vendors',
        vendors,
        ({ account }) => account === null,
        ({ name }) => `No account is named at "${name}".`,
      ),
  },
  {
    id: 'checklist-without-role',
    severity: 'warning',
    means: "Items of a checklist are nobody's.",
    why: 'A list that belongs to all is gone through by none.',
    settle: 'Name a role for each item.',
    find: ({ checklists }) =>
      wherever(
        'checklists',
        checklists,
        ({ items }) => items.some(({ role }) => role === null),
        ({ name, items }) => {
          const count = items.filter(({ role }) => role === null).length;
          return `Of the ${items.length} items of "${name}" ${count} have no role.`;
        },
      ),
  },
];
