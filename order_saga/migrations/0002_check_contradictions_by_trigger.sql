-- PostgreSQL prepares each CHECK of a table anew for every statement that writes to it. The eight of this one cost as
-- much as all else that such a statement does for a single order; a trigger costs nothing where it does not fire.
ALTER TABLE saga
    DROP CONSTRAINT saga_phase_check,
    DROP CONSTRAINT outcome_follows_phase,
    DROP CONSTRAINT decided_has_a_time,
    DROP CONSTRAINT not_placed_has_a_reason,
    DROP CONSTRAINT placed_only_if_all_assigned,
    DROP CONSTRAINT placed_only_if_all_granted,
    DROP CONSTRAINT nothing_granted_if_not_placed,
    DROP CONSTRAINT closed_only_if_all_released;

CREATE FUNCTION refuse_contradiction() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    broken text := CASE
        WHEN NEW.phase NOT IN ('reserving', 'assigning', 'placed', 'releasing', 'closed') THEN 'phase_is_known'
        WHEN NEW.outcome IS DISTINCT FROM CASE NEW.phase
            WHEN 'placed' THEN 'placed' WHEN 'releasing' THEN 'not_placed' WHEN 'closed' THEN 'not_placed' END
            THEN 'outcome_follows_phase'
        WHEN (NEW.outcome IS NULL) <> (NEW.decided_at IS NULL) THEN 'decided_has_a_time'
        WHEN (NEW.outcome = 'not_placed') IS TRUE <> (NEW.reason IS NOT NULL) THEN 'not_placed_has_a_reason'
        WHEN NEW.outcome = 'placed' AND (NEW.standing = '{}' OR NEW.standing @? '$.* ? (@ <> "assigned")')
            THEN 'placed_only_if_all_assigned'
        WHEN NEW.outcome = 'placed' AND (
            jsonb_path_query_array(NEW.granted, '$.keyvalue().key')
                <> jsonb_path_query_array(NEW.standing, '$.keyvalue().key')
            OR NEW.granted @? 'strict $.* ? (@.size() == 0)')
            THEN 'placed_only_if_all_granted'
        WHEN NEW.outcome = 'not_placed' AND NEW.granted <> '{}' THEN 'nothing_granted_if_not_placed'
        WHEN (NEW.phase = 'closed') <> (NEW.cleaned_at IS NOT NULL)
            OR NEW.phase = 'closed' AND NEW.standing @? '$.* ? (@ <> "released")'
            THEN 'closed_only_if_all_released'
    END;
BEGIN
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'order % would contradict itself: %', NEW.order_id, broken
            USING ERRCODE = 'check_violation', CONSTRAINT = broken;
    END IF;
    RETURN NEW;
END $$;

-- Whatever is not simply undecided.
CREATE TRIGGER no_contradiction BEFORE INSERT OR UPDATE ON saga FOR EACH ROW
    WHEN (
        NEW.phase NOT IN ('reserving', 'assigning') OR NEW.outcome IS NOT NULL OR NEW.reason IS NOT NULL
        OR NEW.decided_at IS NOT NULL OR NEW.cleaned_at IS NOT NULL
    )
    EXECUTE FUNCTION refuse_contradiction();
