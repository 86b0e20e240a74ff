/**
 * A keyed 64-bit fingerprint of each 8 KiB page, stored in map leaves so that a later backup can tell which pages changed without
 * downloading anything (rule C4).
 *
 * Nouns: *page*, 8,192 bytes; *fingerprint*, 8 bytes, little-endian. It says "probably equal" with odds of error of about 2⁻⁶³ for two
 * given pages and a secret key; it is not a cryptographic hash. What is fetched is never checked by it alone; a delta takes a page that lies there
 * already for the one of the backup by it.
 */
export {
  FINGERPRINT_BYTES,
  FINGERPRINT_PAGE_BYTES,
  fingerprintKeyBytes,
  PageFingerprinter,
  zeroPageFingerprint,
} from './page-fingerprinter.ts';
