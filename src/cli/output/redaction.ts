/** Shorter texts stand in ordinary words, and replacing them there would make the output unreadable. */
const lengthMin = 4;

/**
 * A last line of defence: whatever secret a message should ever hold, it is replaced before it is written.
 * Messages are built without secrets in the first place; this is for texts that came from elsewhere.
 */
export class Redaction {
  readonly #secrets = new Set<string>();

  /** From now on this text is hidden, in the forms that URLs and JSON give it too. */
  add(secret: string): void {
    if (secret.length < lengthMin) return;
    for (const form of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)])
      this.#secrets.add(form);
  }

  /** Hides the password of a connection string, in either of its forms. */
  addConnection(connection: string): void {
    const inUrl = /^[a-z][a-z0-9+.-]*:\/\/[^/?#@]*?:([^/?#]*)@/i.exec(connection)?.[1];
    // As libpq reads it: up to the first @, whatever else stands before, also in a URL inside key words.
    const inUrlOfLibpq = /(?:^|['\s=])[a-z][a-z0-9+.-]*:\/\/[^/@]*?:([^/@]*)@/i.exec(connection)?.[1];
    const inWords = /(?:^|[\s?&])(?:ssl)?password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s&]*))/i.exec(connection);
    for (const found of [inUrl, inUrlOfLibpq, inWords?.[1]?.replaceAll(/\\(.)/g, '$1'), inWords?.[2]]) {
      if (found === undefined) continue;
      this.add(found);
      this.add(decoded(found));
    }
  }

  apply(text: string): string {
    let hidden = text;
    for (const secret of this.#secrets) hidden = hidden.replaceAll(secret, '<secret>');
    return hidden;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // It was not encoded, then.
  }
}
