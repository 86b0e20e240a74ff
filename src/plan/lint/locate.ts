import { lineOf } from '../find-lines.ts';
import type { FindingPlace, LintedPlan } from './finding.ts';

/** Where an option stands. What a variable gave in place of the plan stands in no file. */
export function locate(plan: LintedPlan, option: string): FindingPlace {
  const { file, lines, stated } = plan;
  const origin = stated.find((each) => each.option === option)?.origin ?? file;
  const path = nameOption(plan, option);
  return origin === file
    ? { option, path, file, line: lineOf(lines, option) }
    : { option, path, file: null, line: null };
}

/** The same option by the names of what stands in lists, which stay when something is put before it: `functions.pay.rto` for `functions[1].rto`. */
export function nameOption({ stated }: LintedPlan, option: string): string {
  let [at, path] = ['', ''];
  for (const part of option.split(/(?=[.[])/)) {
    at += part;
    const name = part.startsWith('[') ? stated.find((each) => each.option === `${at}.name`) : undefined;
    path = name === undefined ? path + part : name.path.slice(0, -'.name'.length);
  }
  return path;
}
