import qrcode from 'qrcode-generator';
import type { KitBlock } from './kit-blocks.ts';

/**
 * Black on white, within the margins of A4 and Letter, no part torn apart where that can be helped. Long lines are broken with a mark of where, as a
 * printed line that is cut off would be lost.
 */
const STYLE = `
@page { margin: 15mm; }
* { box-sizing: border-box; }
body { max-width: 180mm; margin: 0 auto; padding: 4mm; background: #fff; color: #000; font: 10.5pt/1.4 serif; }
h1 { font-size: 20pt; margin: 0 0 3mm; }
h2 { font-size: 13pt; margin: 6mm 0 2mm; border-bottom: 0.3mm solid #000; break-after: avoid; }
p { margin: 0 0 2mm; }
table { border-collapse: collapse; width: 100%; margin: 0 0 3mm; break-inside: avoid; }
th, td { text-align: left; vertical-align: top; padding: 0.7mm 2mm 0.7mm 0; overflow-wrap: anywhere; }
th { font-weight: normal; white-space: nowrap; }
td, pre { font-family: monospace; font-size: 9.5pt; }
pre { margin: 0 0 3mm; padding: 2mm; border: 0.2mm solid #000; white-space: pre-wrap; overflow-wrap: anywhere; }
figure { margin: 0 0 3mm; break-inside: avoid; }
svg { display: block; width: 42mm; height: 42mm; }
`;

/** A page of its own: no script, nothing from elsewhere. */
export function renderKit(blocks: readonly KitBlock[], title: string): string {
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    '<meta name="viewport" content="width=device-width">',
    '<meta name="robots" content="noindex">',
    `<title>${escapeHtml(title)}</title>`,
    `<style>${STYLE}</style>`,
    '</head>',
    '<body>',
    ...blocks.map(renderBlock),
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

function renderBlock(block: KitBlock): string {
  switch (block.kind) {
    case 'title':
      return `<h1>${escapeHtml(block.text)}</h1>`;
    case 'heading':
      return `<h2>${escapeHtml(block.text)}</h2>`;
    case 'text':
      return `<p>${escapeHtml(block.text)}</p>`;
    case 'lines':
      return `<pre>${escapeHtml(block.lines.join('\n'))}</pre>`;
    case 'facts': {
      const rows = block.rows.map(
        ([name, value]) => `<tr><th scope="row">${escapeHtml(name)}: </th><td>${escapeHtml(value)}</td></tr>`,
      );
      return `<table>\n${rows.join('\n')}\n</table>`;
    }
    case 'code':
      return `<figure>${renderCode(block.content)}<figcaption>${escapeHtml(block.caption)}</figcaption></figure>`;
  }
}

/** Light modules around a code, as readers of it need them. */
const QUIET_MODULES = 4;

/** A QR code with a quarter of it to spare for folds and stains, as one path. */
function renderCode(content: string): string {
  const code = qrcode(0, 'Q');
  code.addData(content, 'Byte');
  code.make();
  const count = code.getModuleCount();
  const dark: string[] = [];
  for (let row = 0; row < count; row++) {
    for (let column = 0; column < count; column++) {
      if (code.isDark(row, column)) dark.push(`M${column} ${row}h1v1h-1z`);
    }
  }
  const side = count + 2 * QUIET_MODULES;
  const box = `${-QUIET_MODULES} ${-QUIET_MODULES} ${side} ${side}`;
  return `<svg viewBox="${box}" role="img" aria-hidden="true" shape-rendering="crispEdges"><path d="${dark.join('')}"/></svg>`;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
