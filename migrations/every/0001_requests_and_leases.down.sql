DROP TABLE write_probes;
DROP TABLE leases;
DROP TABLE requests;
