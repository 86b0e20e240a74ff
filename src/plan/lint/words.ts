/** `a`, `a and b`, `a, b and c`. */
export function formatList(words: readonly string[]): string {
  return words.join(', ').replace(/, ([^,]*)$/, ' and $1');
}
