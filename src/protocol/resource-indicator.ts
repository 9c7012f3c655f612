/**
 * Whether a text can name a resource service: an absolute URI without a fragment (RFC 8707 §2). URIs are compared as
 * text, so only printable ASCII is taken, and nobody can register two spellings that look alike.
 */
export function isResourceIndicator(text: string): boolean {
  return (
    text.length <= 512 &&
    /^[a-z][a-z0-9+.-]*:[\x21-\x7e]+$/.test(text) &&
    !/[#"\\<>^`{|}]/.test(text) &&
    URL.canParse(text)
  );
}
