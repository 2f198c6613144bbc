"""taskiq on Redis streams: a task for each packet, the collating in Redis beside."""
