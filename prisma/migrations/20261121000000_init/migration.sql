-- CreateTable
CREATE TABLE "issuer" (
    "id" INTEGER NOT NULL DEFAULT 1,
    "sealing_key" TEXT,
    "longest_token_ttl" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "issuer_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "signing_key" (
    "kid" TEXT NOT NULL,
    "alg" TEXT NOT NULL,
    "public_jwk" JSONB NOT NULL,
    "sealed_private_jwk" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "signs_from" TIMESTAMPTZ(3) NOT NULL,
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "signing_key_pkey" PRIMARY KEY ("kid")
);

-- CreateTable
CREATE TABLE "resource" (
    "identifier" TEXT NOT NULL,
    "scopes" JSONB NOT NULL,
    "alg" TEXT NOT NULL,
    "access_ttl" INTEGER,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "resource_pkey" PRIMARY KEY ("identifier")
);

-- CreateTable
CREATE TABLE "client" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "auth_method" TEXT NOT NULL,
    "secret_digests" TEXT[],
    "previous_secret_expires_at" TIMESTAMPTZ(3),
    "grant_types" TEXT[],
    "scopes" TEXT[],
    "resources" TEXT[],
    "epoch" INTEGER NOT NULL DEFAULT 0,
    "grant_epoch" INTEGER NOT NULL DEFAULT 0,
    "disabled_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "client_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "change" (
    "id" BIGSERIAL NOT NULL,
    "kind" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "change_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "instance" (
    "id" TEXT NOT NULL,
    "version" TEXT NOT NULL,
    "key_encryption_keys" TEXT[],
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "seen_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "instance_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "signing_key_alg_signs_from_idx" ON "signing_key"("alg", "signs_from");

-- CreateIndex
CREATE INDEX "change_at_idx" ON "change"("at");

-- By hand: what the comments of schema.prisma promise and Postgres can hold.

ALTER TABLE "issuer"
    ADD CONSTRAINT "issuer_is_one_row" CHECK ("id" = 1),
    ADD CONSTRAINT "issuer_longest_token_ttl_is_a_duration" CHECK ("longest_token_ttl" >= 0);

ALTER TABLE "signing_key"
    ADD CONSTRAINT "signing_key_has_kid_and_alg" CHECK ("kid" <> '' AND "alg" <> ''),
    -- The members that RFC 7518 §6 and RFC 8037 §2 call private.
    ADD CONSTRAINT "signing_key_public_jwk_is_public" CHECK (
        jsonb_typeof("public_jwk") = 'object' AND NOT "public_jwk" ?| ARRAY['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']),
    -- A compact JWE has five parts (RFC 7516 §7.1).
    ADD CONSTRAINT "signing_key_private_jwk_is_sealed" CHECK (
        "sealed_private_jwk" ~ '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){4}$');

ALTER TABLE "resource"
    ADD CONSTRAINT "resource_identifier_is_an_absolute_uri" CHECK ("identifier" ~ '^[A-Za-z][A-Za-z0-9+.-]*:[^#[:space:]]+$'),
    ADD CONSTRAINT "resource_scopes_is_an_object" CHECK (jsonb_typeof("scopes") = 'object'),
    ADD CONSTRAINT "resource_has_alg" CHECK ("alg" <> ''),
    ADD CONSTRAINT "resource_access_ttl_is_a_duration" CHECK ("access_ttl" > 0);

ALTER TABLE "client"
    ADD CONSTRAINT "client_lists_are_there" CHECK (
        "secret_digests" IS NOT NULL AND "grant_types" IS NOT NULL AND "scopes" IS NOT NULL AND "resources" IS NOT NULL),
    ADD CONSTRAINT "client_has_at_most_two_secrets" CHECK (
        cardinality("secret_digests") < 2
        OR cardinality("secret_digests") = 2 AND "previous_secret_expires_at" IS NOT NULL),
    ADD CONSTRAINT "client_credentials_has_an_audience" CHECK (
        'client_credentials' <> ALL ("grant_types") OR cardinality("resources") > 0),
    ADD CONSTRAINT "client_grant_epoch_within_epoch" CHECK (0 <= "grant_epoch" AND "grant_epoch" <= "epoch");

ALTER TABLE "instance"
    ADD CONSTRAINT "instance_lists_are_there" CHECK ("key_encryption_keys" IS NOT NULL);
