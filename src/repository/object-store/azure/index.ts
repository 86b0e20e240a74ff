/**
 * Objects in a container of Azure Blob Storage.
 *
 * Nouns. *Location*: an address `azure://account/container/prefix?…`. *Connection*: single requests, with the server's answers in the store's codes.
 * *Access*: by what an account lets us in: its key, or a shared access signature.
 *
 * The SDK is an optional package, looked for on the first call. It repeats nothing that failed (the store around it does), makes no containers, keeps
 * no locks and reads no older versions: `docs/object-stores.md` says what follows from that.
 */
export * from './location.ts';
export * from './store.ts';
