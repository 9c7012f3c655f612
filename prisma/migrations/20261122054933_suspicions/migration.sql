-- AlterTable
ALTER TABLE "sign_in_attempt" ADD COLUMN     "others" INTEGER[],
ADD COLUMN     "others_since" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "grant" ADD COLUMN     "networks" TEXT[];

-- CreateTable
CREATE TABLE "suspicion" (
    "key" TEXT NOT NULL,
    "count" INTEGER NOT NULL DEFAULT 0,
    "since" TIMESTAMPTZ(3),
    "told_at" TIMESTAMPTZ(3),
    "seen_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "suspicion_pkey" PRIMARY KEY ("key")
);

-- CreateTable
CREATE TABLE "event_delivery" (
    "id" TEXT NOT NULL,
    "event" JSONB NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3),
    "delivered_at" TIMESTAMPTZ(3),
    "failure" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "event_delivery_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "suspicion_seen_at_idx" ON "suspicion"("seen_at");

-- CreateIndex
CREATE INDEX "event_delivery_next_attempt_at_idx" ON "event_delivery"("next_attempt_at");

-- CreateIndex
CREATE INDEX "event_delivery_created_at_idx" ON "event_delivery"("created_at");
