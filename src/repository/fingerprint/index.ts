/**
 * A keyed 64-bit fingerprint of each 8 KiB page, stored in map leaves so that a later backup can tell which pages changed without
 * downloading anything (rule C4).
 *
 * Nouns: *page*, 8,192 bytes; *fingerprint*, 8 bytes, little-endian. It says "probably equal" with odds of error of about 2⁻⁶³ for two
 * given pages and a secret key; it is not a cryptographic hash, and nothing that is restored is ever checked by it alone.
 */
export {
  FINGERPRINT_BYTES,
  FINGERPRINT_PAGE_BYTES,
  fingerprintKeyBytes,
  PageFingerprinter,
} from './page-fingerprinter.ts';
