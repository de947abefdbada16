-- Before a row's BEFORE trigger PostgreSQL locks the row, whether the trigger fires or not: one more change of the page,
-- and one more record in its log, for each of an order's four updates. What only refuses can do so afterwards.
DROP TRIGGER no_contradiction ON saga;
CREATE TRIGGER no_contradiction AFTER INSERT OR UPDATE ON saga FOR EACH ROW
    WHEN (
        NEW.phase NOT IN ('reserving', 'assigning') OR NEW.outcome IS NOT NULL OR NEW.reason IS NOT NULL
        OR NEW.decided_at IS NOT NULL OR NEW.cleaned_at IS NOT NULL
    )
    EXECUTE FUNCTION refuse_contradiction();

DROP TRIGGER outcome_is_final ON saga;
CREATE TRIGGER outcome_is_final AFTER UPDATE ON saga FOR EACH ROW
    WHEN (
        OLD.outcome IS NOT NULL
        AND (OLD.outcome, OLD.participant, OLD.reason, OLD.granted, OLD.decided_at)
            IS DISTINCT FROM (NEW.outcome, NEW.participant, NEW.reason, NEW.granted, NEW.decided_at)
    )
    EXECUTE FUNCTION refuse_another_outcome();
