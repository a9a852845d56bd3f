-- The request and the trace that caused each event: a cancellation has its own. What was recorded
-- before counts as caused by the request that placed the order.
ALTER TABLE events ADD COLUMN correlation_id TEXT;
ALTER TABLE events ADD COLUMN trace_id TEXT;
UPDATE events SET
    correlation_id = (SELECT correlation_id FROM streams WHERE streams.order_id = events.order_id),
    trace_id = (SELECT trace_id FROM streams WHERE streams.order_id = events.order_id);
