-- Schema 8. What a receiver answered: of each delivery the last answer that was no success and had a body. And resources
-- that ended without being whole, by time.

alter table delivery add column answer text;      -- `collator.rules.deliveries.StoredAnswer` as JSON; null for nearly all

create index resource_early on resource (rk) where state in ('incomplete', 'cancelled');
