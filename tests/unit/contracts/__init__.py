"""Every message travels as its kept example says, and readers outlive later minor versions, but no other major one."""
