DROP TABLE object_pins;
DROP TABLE object_refs;
DROP TABLE checks;
DROP TABLE imports;
DROP TABLE statements;
DROP TABLE versions;
DROP TABLE problem_tags;
DROP TABLE problems;
