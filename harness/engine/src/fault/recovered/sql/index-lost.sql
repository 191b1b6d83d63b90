DROP INDEX "Order_createdAt_idx"
