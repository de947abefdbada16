-- When the last word about the agent that was applied was said; null: nobody knows, and any word is newer. An agent of
-- whom is only known that he is gone has a row too, so that an older word does not bring him back; his zone is ''.
ALTER TABLE agent ADD COLUMN said_at timestamptz;
