DROP TABLE released_objects;
