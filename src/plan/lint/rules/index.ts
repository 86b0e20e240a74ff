import type { Rule } from '../finding.ts';
import { alarmRules } from './alarms.ts';
import { declaredRules } from './declared.ts';
import { keepingRules } from './keeping.ts';
import { lossRules } from './losses.ts';
import { outageRules } from './outages.ts';
import { peopleRules } from './people.ts';
import { placeRules } from './places.ts';
import { readinessRules } from './readiness.ts';
import { rhythmRules } from './rhythms.ts';
import { serverRules } from './servers.ts';
import { textRules } from './texts.ts';

const families: readonly Rule[] = [
  ...outageRules,
  ...lossRules,
  ...keepingRules,
  ...rhythmRules,
  ...alarmRules,
  ...serverRules,
  ...placeRules,
  ...readinessRules,
  ...peopleRules,
  ...textRules,
  ...declaredRules,
];

/** `C1` to `C12`: contradictions of which the document that plans began with had every one. */
const numbered = families
  .filter(({ id }) => /^C\d+$/.test(id))
  .sort((a, b) => Number(a.id.slice(1)) - Number(b.id.slice(1)));

/** All that is looked for, in the order in which it is told. */
export const rules: readonly Rule[] = [...numbered, ...families.filter((rule) => !numbered.includes(rule))];
