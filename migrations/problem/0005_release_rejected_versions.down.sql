-- Nothing to undo: the objects of rejected versions are never needed.
SELECT 1;
