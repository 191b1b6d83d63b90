DO $$ BEGIN RAISE EXCEPTION 'a job of the application cannot go on'; END $$
