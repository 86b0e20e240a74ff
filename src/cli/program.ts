import { Command as Commander, Argument as CommanderArgument, Option as CommanderOption } from 'commander';
import { chosenSchema, type Flags, listOptions, type Option, planSchema } from '../plan/index.ts';
import type { Command, Example } from './command.ts';
import { commands } from './commands/index.ts';
import { archiveExitCodes, type ExitCodeKind, exitCodes, postgresqlExitCodes } from './exit-code.ts';
import { type Paint, paintFor } from './output/index.ts';
import { packageVersion } from './package-version.ts';
import type { Surroundings } from './surroundings.ts';

/** A command line that was understood. */
export interface Invocation {
  readonly command: Command;
  /** Arguments and values of flags by name without dashes; `true` for a flag without a value. */
  readonly values: ReadonlyMap<string, FlagValue>;
  /** Values of the plan's options by dotted path. */
  readonly planFlags: Flags;
}

/** `true` for a flag without a value, a list for one that may stand several times. */
export type FlagValue = string | true | readonly string[];

const planOptions = [...listOptions(chosenSchema).options, ...listOptions(planSchema).options];

/** Builds the whole command line. `onInvocation` is called for a command that shall run, `--help` is answered here. */
export function buildProgram(
  surroundings: Pick<Surroundings, 'stdout' | 'stderr'>,
  onInvocation: (invocation: Invocation) => void,
): Commander {
  const paint = paintFor(surroundings.stdout);
  const program = new Commander('holdfast')
    .description('Disaster recovery for applications on PostgreSQL: the plan as code, carried out and proven.')
    .version(packageVersion(), '--version', 'Print the version.')
    .helpOption('-h, --help', 'Print this.')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => surroundings.stdout.write(text),
      writeErr: (text) => surroundings.stderr.write(text),
      // Whoever runs the program prints errors, in one form for all of them.
      outputError: () => {},
    })
    .configureHelp({
      showGlobalOptions: false,
      styleTitle: (title) => paint.strong(title),
      styleCommandText: (text) => paint.accent(text),
      styleOptionText: (text) => paint.accent(text),
    });
  const groups = new Map<string, Commander>();
  for (const command of commands) {
    const parent = command.path.length === 1 ? program : groupOf(program, groups, command.path[0]);
    addCommand(parent, command, paint, onInvocation);
  }
  addHelpCommand(program);
  program.addHelpText('after', `\n${exitCodeHelp(exitCodes, paint)}`);
  return program;
}

/** `holdfast help wal push` is what many type for `holdfast wal push --help`. */
function addHelpCommand(program: Commander): void {
  const help = program.command('help').argument('[command...]', 'The words of the command.');
  help
    .summary('Print the help of a command, as --help does.')
    .description('Print the help of a command, as --help does.');
  help.action((words: readonly string[]) => {
    let found = program;
    for (const word of words) {
      const next = found.commands.find((command) => command.name() === word);
      if (next === undefined) program.error(`error: unknown command '${words.join(' ')}'`);
      else found = next;
    }
    found.help();
  });
}

const groupSummaries: Readonly<Record<string, string>> = {
  plan: 'The plan itself: what it says, and whether it can hold.',
  database: 'Prepare the server that is protected.',
  repository: 'Make a repository, and look at it.',
  keys: 'Who can open the repository.',
  copies: 'The further places in which the repository is kept.',
  wal: 'Keep the write-ahead log, and give it back.',
  settings: "A server's configuration, as it was kept with each backup.",
};

function groupOf(program: Commander, groups: Map<string, Commander>, name: string): Commander {
  const known = groups.get(name);
  if (known !== undefined) return known;
  const group = program
    .command(name)
    .description(groupSummaries[name] ?? '')
    .helpCommand(false);
  groups.set(name, group);
  return group;
}

function addCommand(
  parent: Commander,
  command: Command,
  paint: Paint,
  onInvocation: (invocation: Invocation) => void,
): void {
  const made = parent.command(command.path.at(-1)!).summary(command.summary);
  made.description([command.summary, ...(command.details ?? [])].join('\n'));
  for (const { name, help, choices } of command.arguments ?? []) {
    const argument = new CommanderArgument(name.startsWith('[') ? name : `<${name}>`, help);
    made.addArgument(choices === undefined ? argument : argument.choices([...choices]));
  }
  for (const { flag, help, required, choices, repeatable } of command.flags ?? []) {
    const option = new CommanderOption(flag, help).makeOptionMandatory(required ?? false);
    if (repeatable === true) option.argParser(gather);
    made.addOption(choices === undefined ? option : option.choices([...choices]));
  }
  const optionsOfPlan = planOptionsOf(command);
  const grouped = (heading: string, flag: string, help: string) => {
    const option = new CommanderOption(flag, help).helpGroup(heading);
    made.addOption(option);
    return option;
  };
  for (const { facts, structure, choices } of optionsOfPlan) {
    const option = grouped('Options of the plan:', facts.flag!, helpOf(facts));
    if (choices !== null) option.choices([...choices]);
    if (structure?.form === 'list') option.argParser(gather);
  }
  const planHelp = 'The plan. (default: holdfast.config.ts, .js or .json in the working directory)';
  grouped('Options of the plan:', '--plan <file>', planHelp);
  grouped('Output:', '--json', 'Print one JSON document on the last line of standard output.');
  grouped('Output:', '--events', 'Print what happens as lines of JSON before it.');
  const codes = codesOf(command.exitCodes ?? 'holdfast');
  const { examples = [] } = command;
  if (examples.length > 0) made.addHelpText('after', `\n${exampleHelp(examples, paint)}`);
  made.addHelpText('after', `\n${exitCodeHelp(codes, paint)}`);
  made.action(() => onInvocation(readInvocation(made, command, optionsOfPlan)));
}

/** What a flag that may stand several times comes to. */
function gather(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** What opens a repository, as the plan calls it. */
const credentialNames = ['passphrase', 'keyFile', 'ageIdentity', 'keyCommand'];

/** Those that its access and its use of the server bring along, and those that it names. */
function planOptionsOf(command: Command): Option[] {
  const paths = new Set(command.planOptions ?? []);
  if (command.access !== 'none') {
    for (const name of ['primary.location', 'copies']) paths.add(`repository.${name}`);
    // Places are compared and brought up to date by what they hold, which needs no key.
    if (command.access !== 'places') for (const name of credentialNames) paths.add(`repository.${name}`);
    paths.add('stateDirectory');
  }
  if (command.database !== 'none') paths.add('cluster.connection').add('cluster.name');
  return planOptions.filter(({ path, facts }) => paths.has(path) && facts.flag !== undefined);
}

function helpOf(facts: Option['facts']): string {
  const variables = (facts.environment ?? []).map(({ name }) => name).join(', ');
  const notes = [
    ...(variables === '' ? [] : [`environment: ${variables}`]),
    ...(facts.default === undefined ? [] : [`default: ${facts.default.text}`]),
  ];
  return notes.length === 0 ? facts.help : `${facts.help} (${notes.join('; ')})`;
}

function readInvocation(made: Commander, command: Command, optionsOfPlan: readonly Option[]): Invocation {
  const values = new Map<string, FlagValue>();
  (command.arguments ?? []).forEach(({ name }, index) => {
    const value = name.includes('...') ? made.args.slice(index) : made.args[index];
    if (value !== undefined) values.set(name.replaceAll(/[[\].]/g, ''), value);
  });
  const given = made.opts() as Record<string, FlagValue | undefined>;
  for (const option of made.options) {
    const value = given[option.attributeName()];
    if (value !== undefined) values.set(option.long!.slice(2), value);
  }
  const planFlags: Record<string, string | readonly string[]> = {};
  for (const { path, facts } of optionsOfPlan) {
    const value = values.get(facts.flag!.split(' ')[0]!.slice(2));
    if (value !== undefined && value !== true) planFlags[path] = value;
  }
  return { command, values, planFlags };
}

function codesOf(kind: ExitCodeKind): Readonly<Record<string, { code: number; meaning: string }>> {
  return { holdfast: exitCodes, postgresql: postgresqlExitCodes, 'postgresql-archive': archiveExitCodes }[kind];
}

function exampleHelp(examples: readonly Example[], paint: Paint): string {
  const lines = examples.flatMap(({ line, does }) => [`  ${paint.accent(line)}`, `      ${does}`]);
  return [paint.strong('Examples:'), ...lines].join('\n');
}

function exitCodeHelp(codes: Readonly<Record<string, { code: number; meaning: string }>>, paint: Paint): string {
  const lines = Object.values(codes).map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`);
  return [paint.strong('Exit codes:'), ...lines].join('\n');
}
