-- The schedule that a pipeline's own text asks for, one at most.
ALTER TABLE triggers ADD COLUMN managed INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX triggers_managed ON triggers (workflow) WHERE managed = 1;
