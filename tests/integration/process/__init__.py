"""A process waits for its servers, survives their absence, reports its health, and leaves nothing half done."""
