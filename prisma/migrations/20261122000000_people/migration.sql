-- AlterTable
ALTER TABLE "client" ADD COLUMN     "backchannel_logout_uri" TEXT,
ADD COLUMN     "cookie_domain" TEXT,
ADD COLUMN     "first_party" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "id_token_alg" TEXT NOT NULL DEFAULT 'RS256',
ADD COLUMN     "origins" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "pkce_required" BOOLEAN NOT NULL DEFAULT true,
ADD COLUMN     "post_logout_redirect_uris" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "redirect_uris" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "refresh_rotates" BOOLEAN NOT NULL DEFAULT true,
ADD COLUMN     "serves" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "skip_consent" BOOLEAN NOT NULL DEFAULT false,
ALTER COLUMN "secret_digests" SET DEFAULT ARRAY[]::TEXT[],
ALTER COLUMN "grant_types" SET DEFAULT ARRAY[]::TEXT[],
ALTER COLUMN "scopes" SET DEFAULT ARRAY[]::TEXT[],
ALTER COLUMN "resources" SET DEFAULT ARRAY[]::TEXT[];

-- AlterTable
ALTER TABLE "instance" ALTER COLUMN "key_encryption_keys" SET DEFAULT ARRAY[]::TEXT[];

-- CreateTable
CREATE TABLE "user" (
    "id" TEXT NOT NULL,
    "email" TEXT NOT NULL,
    "email_verified" BOOLEAN NOT NULL DEFAULT false,
    "password_hash" TEXT NOT NULL,
    "name" TEXT,
    "roles" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "epoch" INTEGER NOT NULL DEFAULT 0,
    "grant_epoch" INTEGER NOT NULL DEFAULT 0,
    "disabled_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "user_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "role" (
    "name" TEXT NOT NULL,
    "permissions" TEXT[] DEFAULT ARRAY[]::TEXT[],

    CONSTRAINT "role_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "session" (
    "id" TEXT NOT NULL,
    "secret_digest" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "user_epoch" INTEGER NOT NULL,
    "auth_time" TIMESTAMPTZ(3) NOT NULL,
    "amr" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "last_seen_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ip" TEXT,
    "user_agent" TEXT,

    CONSTRAINT "session_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "interaction" (
    "id" TEXT NOT NULL,
    "browser_digest" TEXT NOT NULL,
    "request" TEXT NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "chosen_by" TEXT,
    "consented_by" TEXT,
    "consented_at" TIMESTAMPTZ(3),
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "interaction_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "grant" (
    "id" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "client_id" TEXT NOT NULL,
    "session_id" TEXT,
    "scope" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "resources" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "auth_time" TIMESTAMPTZ(3) NOT NULL,
    "amr" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "user_epoch" INTEGER NOT NULL,
    "client_epoch" INTEGER NOT NULL,
    "code_digest" TEXT,
    "code_challenge" TEXT,
    "redirect_uri" TEXT,
    "nonce" TEXT,
    "sid" TEXT,
    "generation" INTEGER NOT NULL DEFAULT 0,
    "rotated_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "grant_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "consent" (
    "user_id" TEXT NOT NULL,
    "client_id" TEXT NOT NULL,
    "scope" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "granted_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "consent_pkey" PRIMARY KEY ("user_id","client_id")
);

-- CreateTable
CREATE TABLE "revocation" (
    "id" BIGSERIAL NOT NULL,
    "digest" TEXT NOT NULL,
    "epoch_below" INTEGER,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "reason" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "revocation_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "logout_delivery" (
    "id" TEXT NOT NULL,
    "logout_id" TEXT NOT NULL,
    "client_id" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "session_id" TEXT,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL,
    "delivered_at" TIMESTAMPTZ(3),
    "failure" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "logout_delivery_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "user_email_key" ON "user"("email");

-- CreateIndex
CREATE INDEX "session_user_id_idx" ON "session"("user_id");

-- CreateIndex
CREATE INDEX "session_expires_at_idx" ON "session"("expires_at");

-- CreateIndex
CREATE INDEX "interaction_expires_at_idx" ON "interaction"("expires_at");

-- CreateIndex
CREATE INDEX "grant_user_id_idx" ON "grant"("user_id");

-- CreateIndex
CREATE INDEX "grant_session_id_idx" ON "grant"("session_id");

-- CreateIndex
CREATE INDEX "grant_expires_at_idx" ON "grant"("expires_at");

-- CreateIndex
CREATE INDEX "revocation_expires_at_idx" ON "revocation"("expires_at");

-- CreateIndex
CREATE INDEX "logout_delivery_next_attempt_at_idx" ON "logout_delivery"("next_attempt_at");

-- CreateIndex
CREATE INDEX "logout_delivery_logout_id_idx" ON "logout_delivery"("logout_id");

-- By hand: what the comments of schema.prisma promise and Postgres can hold.

ALTER TABLE "client"
    ADD CONSTRAINT "client_lists_of_uris_are_there" CHECK (
        "redirect_uris" IS NOT NULL AND "post_logout_redirect_uris" IS NOT NULL AND "origins" IS NOT NULL AND "serves" IS NOT NULL),
    ADD CONSTRAINT "client_id_token_has_alg" CHECK ("id_token_alg" <> '');

ALTER TABLE "user"
    ADD CONSTRAINT "user_email_is_folded" CHECK ("email" = lower("email") AND "email" ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    ADD CONSTRAINT "user_password_is_hashed" CHECK ("password_hash" ~ '^\$argon2id\$'),
    ADD CONSTRAINT "user_roles_are_there" CHECK ("roles" IS NOT NULL),
    ADD CONSTRAINT "user_is_no_client" CHECK ("id" !~ '^client_'),
    ADD CONSTRAINT "user_grant_epoch_within_epoch" CHECK (0 <= "grant_epoch" AND "grant_epoch" <= "epoch");

ALTER TABLE "role"
    ADD CONSTRAINT "role_permissions_are_there" CHECK ("permissions" IS NOT NULL);

ALTER TABLE "grant"
    ADD CONSTRAINT "grant_generation_counts" CHECK ("generation" >= 0),
    ADD CONSTRAINT "grant_lists_are_there" CHECK ("scope" IS NOT NULL AND "resources" IS NOT NULL AND "amr" IS NOT NULL);

-- A refresh changes no indexed column: with room in its page the new row version stays there (a HOT update).
ALTER TABLE "grant" SET (fillfactor = 70);

ALTER TABLE "consent"
    ADD CONSTRAINT "consent_scope_is_there" CHECK ("scope" IS NOT NULL);

ALTER TABLE "revocation"
    ADD CONSTRAINT "revocation_digest_is_16_bytes" CHECK ("digest" ~ '^[A-Za-z0-9_-]{22}$'),
    ADD CONSTRAINT "revocation_epoch_counts" CHECK ("epoch_below" > 0);
