-- AlterTable
ALTER TABLE "revocation" ADD COLUMN     "client_id" TEXT;

-- CreateIndex
CREATE INDEX "revocation_digest_idx" ON "revocation"("digest");

-- CreateIndex
CREATE INDEX "revocation_client_id_expires_at_idx" ON "revocation"("client_id", "expires_at");

-- By hand: what the comments of schema.prisma promise and Postgres can hold.

ALTER TABLE "revocation"
    ADD CONSTRAINT "revocation_of_one_token_has_no_epoch" CHECK ("client_id" IS NULL OR "epoch_below" IS NULL);
