DROP INDEX object_pins_age;
DROP INDEX versions_verified;
DROP INDEX problems_deleted;
CREATE INDEX problems_deleted ON problems (deleted_at);
DROP INDEX problems_by_owner;
DROP INDEX problems_live;
DROP INDEX problems_visible;
ALTER TABLE problems ALTER COLUMN slug TYPE TEXT COLLATE "default";
