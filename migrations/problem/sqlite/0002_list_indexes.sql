-- SQLite sorts texts in the order of bytes.

-- Problems that everybody sees, and those of one owner, in the order of lists.
CREATE INDEX problems_visible ON problems (visibility, slug, id)
  WHERE deleted_at IS NULL AND published_version > 0;
CREATE INDEX problems_live ON problems (slug, id) WHERE deleted_at IS NULL;
CREATE INDEX problems_by_owner ON problems (owner_id, slug, id);
-- Without the problems that are not deleted, for which it was used in place of the index of their order.
DROP INDEX problems_deleted;
CREATE INDEX problems_deleted ON problems (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX versions_verified ON versions (problem_id, version) WHERE state = 'verified';
CREATE INDEX object_pins_age ON object_pins (created_at);
