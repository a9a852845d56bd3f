-- The correlation id of the request that began it all, for a doubt that is asked about later.
ALTER TABLE transactions ADD COLUMN correlation_id TEXT;
