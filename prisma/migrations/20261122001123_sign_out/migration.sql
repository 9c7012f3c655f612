-- AlterTable
ALTER TABLE "session" ADD COLUMN     "client_ids" TEXT[] DEFAULT ARRAY[]::TEXT[];

-- AlterTable
ALTER TABLE "logout_delivery" ALTER COLUMN "next_attempt_at" DROP NOT NULL;

-- CreateIndex
CREATE INDEX "logout_delivery_created_at_idx" ON "logout_delivery"("created_at");

-- By hand: what the comments of schema.prisma promise and Postgres can hold.

ALTER TABLE "session"
    ADD CONSTRAINT "session_client_ids_are_there" CHECK ("client_ids" IS NOT NULL);

ALTER TABLE "logout_delivery"
    ADD CONSTRAINT "logout_delivery_is_over_when_delivered" CHECK ("delivered_at" IS NULL OR "next_attempt_at" IS NULL);
