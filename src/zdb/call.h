/* What the commands of one client's call share: its words, its answers, and who may. For command.c and the files beside it alone. */
#pragma once
#include "zdb/command.h"

void call_ok(struct call *c);
void call_refuse(struct call *c, const char *why);
void call_disk_error(struct call *c, int r, const char *otherwise); /* R: the store's -errno */
struct str call_word(const struct call *c, size_t i);
bool call_is_word(struct str s, const char *upper);
struct namespace *call_named(struct call *c, const char *otherwise); /* by word 1; answers OTHERWISE when there is none */
void call_value(struct call *c, const struct reading *r); /* a bulk string, or the error that reading it was */

/* Whether what stands at word AT (PASSWORD, or SECURE HASH) is PASSWORD; answers when it is not. */
bool call_is_admitted(struct call *c, size_t at, const char *password);

/* Two lines of INFO and NSINFO. */
void call_volume(struct buf *b, const char *name, uint64_t bytes);

void command_get(struct call *c);
void command_mget(struct call *c);
void command_set(struct call *c);
void command_del(struct call *c);
void command_exists(struct call *c);
void command_check(struct call *c);
void command_length(struct call *c);
void command_keytime(struct call *c);
void command_scan(struct call *c);
void command_rscan(struct call *c);
void command_keycur(struct call *c);
void command_history(struct call *c);
void command_dbsize(struct call *c);
void command_nsnew(struct call *c);
void command_nsdel(struct call *c);
void command_nslist(struct call *c);
void command_nsinfo(struct call *c);
void command_nsset(struct call *c);
void command_select(struct call *c);
void command_flush(struct call *c);
void command_index(struct call *c);
void command_data(struct call *c);
void command_nsjump(struct call *c);
void command_reload(struct call *c);
void command_hooks(struct call *c);
void command_mirror(struct call *c);
void command_master(struct call *c);
