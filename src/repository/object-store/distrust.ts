/** What Node says when the certificate of the other side does not do (OpenSSL's X509_V_ERR_…, and its own). */
const tlsCodes = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'CERT_REJECTED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'HOSTNAME_MISMATCH',
  'INVALID_CA',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** Whether a code says that the other side was reached, and that its certificate does not do. */
export function isDistrust(code: string): boolean {
  return tlsCodes.has(code);
}

/** Whether the other side was reached, and answered in plain text to the first words of TLS: it will never do otherwise. */
export function isPlain(code: string, message: string): boolean {
  return (
    ['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG'].includes(code) &&
    /wrong version number|packet length too long/i.test(message)
  );
}
