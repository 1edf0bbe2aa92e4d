-- When an order was last read at its platform's own system: what is older is read again before money leaves.
ALTER TABLE orders ADD COLUMN read_at timestamptz;
