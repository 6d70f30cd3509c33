"""When: cron and rrule rules to instants. Pure: no clock, no I/O."""
