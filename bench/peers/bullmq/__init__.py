"""BullMQ on Node: a flow for each resource (`flow.js`), or a job for each packet, collated by Lua (`packets.js`)."""
