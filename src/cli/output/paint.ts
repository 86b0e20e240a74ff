import { styleText } from 'node:util';

/** Colours by meaning. Whether they are shown is the stream's matter: `NO_COLOR`, pipes and files get none. */
export interface Paint {
  title(text: string): string;
  strong(text: string): string;
  faint(text: string): string;
  good(text: string): string;
  warning(text: string): string;
  bad(text: string): string;
  accent(text: string): string;
}

type Format = Parameters<typeof styleText>[0];

/** Paint for one stream, asked anew for each text. */
export function paintFor(stream: NodeJS.WriteStream): Paint {
  const as = (format: Format) => (text: string) => styleText(format, text, { stream });
  return {
    title: as(['bold', 'underline']),
    strong: as('bold'),
    faint: as('dim'),
    good: as('green'),
    warning: as('yellow'),
    bad: as('red'),
    accent: as('cyan'),
  };
}

const same = (text: string) => text;

/** For files, tests and whatever else has no colours. */
export const plainPaint: Paint = {
  ...{ title: same, strong: same, faint: same, good: same, warning: same, bad: same, accent: same },
};
