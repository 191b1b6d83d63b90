-- The transactions of a run, by the rows that they left in the audit log: one line for each row. RUN stands for the
-- run's tag.
COPY (
    SELECT a."detail" ->> 'writer', a."detail" ->> 'seq'
      FROM public."AuditLog" AS a
     WHERE a."detail" ->> 'run' = 'RUN'
) TO STDOUT
