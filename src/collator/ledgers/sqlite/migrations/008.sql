-- Schema 8. What a receiver answered: of each delivery the last answer that was no success and had a body.

alter table delivery add column answer text;      -- `collator.rules.deliveries.StoredAnswer` as JSON; null for nearly all
