-- The host of a callback's target, so that the due ones of hosts that are being waited for can be passed over.
ALTER TABLE callbacks ADD COLUMN host TEXT NOT NULL DEFAULT '';
UPDATE callbacks SET host = lower(substr(target, instr(target, '://') + 3));
UPDATE callbacks SET host = substr(host, 1, min(
  instr(host || '/', '/'), instr(host || ':', ':'), instr(host || '?', '?'), instr(host || '#', '#')) - 1);
DROP INDEX callbacks_due;
CREATE INDEX callbacks_due ON callbacks (due, host);
