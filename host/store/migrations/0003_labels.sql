-- What lists need of a run and what follows from no event of it: what began it, for what, which version of a deployed pipeline, and
-- which run it repeats.
ALTER TABLE runs ADD COLUMN trigger_kind TEXT NOT NULL DEFAULT 'cli';
ALTER TABLE runs ADD COLUMN title TEXT;
ALTER TABLE runs ADD COLUMN workflow_version INTEGER;
ALTER TABLE runs ADD COLUMN rerun_of TEXT;
UPDATE runs SET trigger_kind = 'sub-run' WHERE parent IS NOT NULL;

-- Lists go along these in their own order, and what they filter by is read from the index. `status` is not in them: it changes with
-- each step, and what is not over is found by `runs_unfinished`.
DROP INDEX runs_by_creation;
CREATE INDEX runs_by_creation ON runs (created_at_ms DESC, id DESC, parent, outcome, trigger_kind, started_by);
CREATE INDEX runs_by_workflow ON runs (name, created_at_ms DESC, id DESC, parent, outcome, trigger_kind, started_by);
CREATE INDEX runs_by_rerun ON runs (rerun_of) WHERE rerun_of IS NOT NULL;

-- Whether who began the run may approve it, and what counts when the gate's time is over.
ALTER TABLE gates ADD COLUMN self_approval INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gates ADD COLUMN otherwise TEXT;
