-- Objects that lost a pin or a reference: housekeeping removes those that have no other.
CREATE TABLE released_objects (
    digest     TEXT NOT NULL,
    -- The import or purge that released it.
    release_id UUID NOT NULL,
    PRIMARY KEY (digest, release_id)
);
