/** Seconds since 1970-01-01T00:00:00Z, leap seconds ignored (RFC 7519 §2). Every instant of the domain is one. */
export type NumericDate = number;

/** A duration in seconds. */
export type Seconds = number;
