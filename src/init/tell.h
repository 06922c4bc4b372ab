/* What a service says of itself to init (sd_notify(3)), without a library. */
#pragma once

/* Sends TEXT, such as "READY=1\nSTATUS=..."; nothing where nobody listens. */
void init_tell(const char *text);
