-- Within an overlap several secrets from before may be good. It takes no look at the rows: they keep the stricter rule.
ALTER TABLE "client"
    DROP CONSTRAINT "client_has_at_most_two_secrets",
    ADD CONSTRAINT "client_secrets_overlap_for_a_time" CHECK (
        cardinality("secret_digests") < 2
        OR cardinality("secret_digests") <= 5 AND "previous_secret_expires_at" IS NOT NULL) NOT VALID;
