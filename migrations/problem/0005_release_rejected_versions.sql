-- A rejected version needs no objects. References of versions that were rejected earlier become releases.
INSERT INTO released_objects (digest, release_id)
SELECT object_refs.digest, versions.import_id
FROM object_refs
JOIN versions ON versions.problem_id = object_refs.problem_id AND versions.version = object_refs.version
WHERE versions.state = 'rejected'
ON CONFLICT DO NOTHING;

DELETE FROM object_refs
WHERE EXISTS (
    SELECT 1 FROM versions
    WHERE versions.problem_id = object_refs.problem_id
      AND versions.version = object_refs.version
      AND versions.state = 'rejected'
);
