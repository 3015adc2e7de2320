-- In every service's database: what libs/db and libs/bus keep for it.

-- Request ids and their responses (db::requests).
CREATE TABLE requests (
  caller TEXT NOT NULL,
  rpc TEXT NOT NULL,
  request_id TEXT NOT NULL,
  digest BYTEA NOT NULL,
  response BYTEA,
  expires_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (caller, rpc, request_id)
);
CREATE INDEX requests_expiry ON requests (expires_at);

-- Who may do what alone (db::lease); milliseconds of the database's clock.
CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  fence BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL
);

-- Written to find out whether writing works again after the disk was full.
CREATE TABLE write_probes (
  name TEXT PRIMARY KEY,
  probe_count BIGINT NOT NULL
);
