#include "storage/luks.h"

#include "base/file.h"
#include "storage/mapping.h"
#include "storage/probe.h"
#include "storage/tpm.h"

#include <libcryptsetup.h>
#include <stdio.h>

/* The key is random: nothing is gained by making each try slow. The hash also puts together the key that is spread over its slot: most of the time that it takes to
 * unlock a disk, and less with this one (decision 102). */
static const struct crypt_pbkdf_type pbkdf = { .type = CRYPT_KDF_PBKDF2, .hash = "sha512", .iterations = 1000, .flags = CRYPT_PBKDF_NO_BENCHMARK };
enum { VOLUME_KEY_BYTES = 64, SECTOR_BYTES = 4096, SLOT_NODE = 0, SLOT_ESCROW = 1 };

static void on_log(int level, const char *text, void *ctx)
{
	struct luks *l = ctx;

	if (level == CRYPT_LOG_ERROR)
		snprintf(l->said, sizeof(l->said), "%.*s", (int)strcspn(text, "\n"), text);
}

static int fail(const struct luks *l, int r, const char *doing, struct err *e)
{
	return err_set(e, r, "%s: %s", doing, l->said[0] ? l->said : strerror(-r));
}

void luks_close(struct luks *l)
{
	crypt_free(l->cd);
	l->cd = NULL;
}

static int device_init(const struct disk_args *a, struct luks *l, struct err *e)
{
	char path[64];
	int r;

	*l = (struct luks)LUKS_NONE;
	crypt_metadata_locking(NULL, 0); /* one run a disk at a time, and there is no /run/cryptsetup */
	snprintf(path, sizeof(path), "/dev/%s", a->name);
	r = crypt_init(&l->cd, path);
	if (r)
		return err_set(e, r, "open %s: %s", path, strerror(-r));
	crypt_set_log_callback(l->cd, on_log, l);
	return 0;
}

/* AT: the token of that number, or CRYPT_ANY_TOKEN for a new one. */
static int token_write(struct luks *l, int at, const struct token *t, struct err *e)
{
	AUTO_BUF struct buf json = { 0 };
	int r = token_encode(t, &json);

	if (!r)
		r = crypt_token_json_set(l->cd, at, json.p);
	if (json.p)
		explicit_bzero(json.p, json.cap);
	return r < 0 ? fail(l, r, "write its token", e) : 0;
}

static int key_make(struct luks *l, struct token *t, struct err *e)
{
	int r;

	random_bytes(t->secret, sizeof(t->secret));
	r = crypt_keyslot_add_by_volume_key(l->cd, SLOT_NODE, NULL, 0, (const char *)t->secret, sizeof(t->secret));
	if (r < 0)
		return fail(l, r, "write its key slot", e);
	r = tpm_seal(t, e);
	if (r < 0)
		return r;
	t->key = r == TPM_NONE ? ANSWER_KEY_DISK : ANSWER_KEY_TPM;
	return token_write(l, CRYPT_ANY_TOKEN, t, e);
}

int luks_make(const struct disk_args *a, struct token *t, struct luks *ret, struct err *e)
{
	struct crypt_params_luks2 params = { .pbkdf = &pbkdf, .sector_size = SECTOR_BYTES, .label = PROBE_LABEL, .subsystem = PROBE_UNFINISHED };
	int r = device_init(a, ret, e);

	if (r)
		return r;
	if ((r = crypt_set_pbkdf_type(ret->cd, &pbkdf)) ||
	    (r = crypt_format(ret->cd, CRYPT_LUKS2, "aes", "xts-plain64", NULL, NULL, VOLUME_KEY_BYTES, &params)))
		return fail(ret, r, "write its header", e);
	if ((r = key_make(ret, t, e)))
		return r;
	return luks_open(ret, a, t, e);
}

int luks_finish(struct luks *l, struct err *e)
{
	int r = crypt_set_label(l->cd, PROBE_LABEL, PROBE_COMPLETE);

	return r ? fail(l, r, "write its mark", e) : 0;
}

int luks_load(const struct disk_args *a, struct luks *ret, struct err *e)
{
	int r = device_init(a, ret, e);

	if (!r && (r = crypt_load(ret->cd, CRYPT_LUKS2, NULL)))
		r = fail(ret, r,
			 "its header is damaged: its data can be read no more unless the header is put back, and it is left alone; "
			 "'zos node disks wipe' makes it a new disk",
			 e);
	return r;
}

const char *luks_uuid(const struct luks *l)
{
	return crypt_get_uuid(l->cd);
}

bool luks_has_mark(const struct luks *l, const char *mark)
{
	const char *label = crypt_get_label(l->cd), *subsystem = crypt_get_subsystem(l->cd);

	return label && subsystem && !strcmp(label, PROBE_LABEL) && !strcmp(subsystem, mark);
}

/* The number of the first token of TYPE from FROM on and its text, or -ENOENT. */
static int token_find(struct luks *l, const char *type, int from, const char **ret)
{
	const char *its;

	for (int i = from; i < crypt_token_max(CRYPT_LUKS2); i++) {
		if (crypt_token_status(l->cd, i, &its) == CRYPT_TOKEN_INACTIVE || !its || strcmp(its, type))
			continue;
		return crypt_token_json_get(l->cd, i, ret) < 0 ? -ENOENT : i;
	}
	return -ENOENT;
}

int luks_token(struct luks *l, struct token *ret, struct err *e)
{
	const char *json;

	if (token_find(l, "zos", 0, &json) < 0)
		return err_set(e, -ENOKEY, "its token is missing, and with it its key: 'zos node disks wipe' makes it a new disk");
	return err_wrap(e, token_decode(str_c(json), ret, e), "its token is none that this node knows");
}

static bool slot_is_used(const struct luks *l, int slot)
{
	crypt_keyslot_info is = crypt_keyslot_status(l->cd, slot);

	return is == CRYPT_SLOT_ACTIVE || is == CRYPT_SLOT_ACTIVE_LAST || is == CRYPT_SLOT_UNBOUND;
}

void luks_escrow_get(struct luks *l, struct escrow *ret)
{
	bool has_slot = slot_is_used(l, SLOT_ESCROW);
	const char *json;

	*ret = (struct escrow){ .is_there = has_slot };
	if (token_find(l, ESCROW_TYPE, 0, &json) < 0)
		return;
	if (!has_slot || escrow_decode(str_c(json), ret, NULL))
		*ret = (struct escrow){ .is_there = true };
}

/* The slot first: what is left when this is cut off is still seen. */
int luks_escrow_clear(struct luks *l, struct err *e)
{
	const char *json;
	int r, at = 0;

	if (slot_is_used(l, SLOT_ESCROW) && (r = crypt_keyslot_destroy(l->cd, SLOT_ESCROW)) < 0)
		return fail(l, r, "wipe its recovery key slot", e);
	while ((at = token_find(l, ESCROW_TYPE, at, &json)) >= 0)
		if ((r = crypt_token_json_set(l->cd, at, NULL)) < 0)
			return fail(l, r, "wipe its recovery token", e);
	return 0;
}

/* NEW opens SLOT, which is free, from now on; OLD opens another. */
static int slot_add(struct luks *l, int slot, const uint8_t *old, const uint8_t *new, struct err *e)
{
	int r = crypt_set_pbkdf_type(l->cd, &pbkdf);

	if (!r)
		r = crypt_keyslot_add_by_passphrase(l->cd, slot, (const char *)old, TOKEN_SECRET_LEN, (const char *)new, TOKEN_SECRET_LEN);
	return r < 0 ? fail(l, r, "write its key slot", e) : 0;
}

int luks_escrow_set(struct luks *l, const struct token *t, const struct escrow *x, const uint8_t secret[static RECOVERY_SECRET_LEN], struct err *e)
{
	AUTO_BUF struct buf json = { 0 };
	char slot[8];
	int r;

	static_assert((int)RECOVERY_SECRET_LEN == (int)TOKEN_SECRET_LEN);
	snprintf(slot, sizeof(slot), "%d", SLOT_ESCROW);
	if (escrow_encode(x, slot, &json))
		return err_set(e, -ENOMEM, "write its recovery token: out of memory");
	if ((r = luks_escrow_clear(l, e)) || (r = slot_add(l, SLOT_ESCROW, t->secret, secret, e)))
		return r;
	r = crypt_token_json_set(l->cd, CRYPT_ANY_TOKEN, json.p);
	return r < 0 ? fail(l, r, "write its recovery token", e) : 0;
}

int luks_renew(struct luks *l, const uint8_t secret[static RECOVERY_SECRET_LEN], struct token *t, struct err *e)
{
	const char *json;
	int r, at = token_find(l, "zos", 0, &json);

	if (at < 0)
		return err_set(e, -ENOKEY, "its token is missing");
	if (crypt_activate_by_passphrase(l->cd, NULL, SLOT_ESCROW, (const char *)secret, RECOVERY_SECRET_LEN, 0) < 0)
		return err_set(e, -EACCES, "the secret that came does not open its recovery key slot: nothing was changed");
	random_bytes(t->secret, sizeof(t->secret));
	if ((r = tpm_seal(t, e)) < 0)
		return r;
	if (r == TPM_NONE)
		return err_set(e, -EACCES,
			       "this machine has no TPM, or its image is not signed: the disk's key would lie on the disk; nothing was changed");
	t->key = ANSWER_KEY_TPM;
	if (slot_is_used(l, SLOT_NODE) && (r = crypt_keyslot_destroy(l->cd, SLOT_NODE)) < 0)
		return fail(l, r, "wipe its old key slot", e);
	if ((r = slot_add(l, SLOT_NODE, secret, t->secret, e)))
		return r;
	return token_write(l, at, t, e);
}

static int open_check(const char *uuid, const struct disk_args *a, struct err *e)
{
	switch (mapping_below(uuid, a)) {
	case MAPPING_OURS:
		return 0;
	case MAPPING_OTHER:
		return err_set(
			e, -EEXIST,
			"another disk with its UUID is open: one is a copy of the other; pull one out, or 'zos node disks wipe' makes it a new one");
	case MAPPING_DEAD:
	case MAPPING_CLOSED:
		break;
	}
	return err_set(e, -EBUSY, "what was opened before it was pulled out is still in use: it is opened once that has ended");
}

int luks_open(struct luks *l, const struct disk_args *a, const struct token *t, struct err *e)
{
	uint32_t flags = CRYPT_ACTIVATE_ALLOW_DISCARDS | CRYPT_ACTIVATE_NO_READ_WORKQUEUE | CRYPT_ACTIVATE_NO_WRITE_WORKQUEUE;
	char mapping[MAPPING_NAME_MAX];
	crypt_status_info now;
	int r;

	mapping_name(mapping, luks_uuid(l));
	now = crypt_status(l->cd, mapping);
	if (now == CRYPT_ACTIVE || now == CRYPT_BUSY)
		return open_check(luks_uuid(l), a, e);
	r = crypt_activate_by_passphrase(l->cd, mapping, CRYPT_ANY_SLOT, (const char *)t->secret, sizeof(t->secret), t->is_rotational ? 0 : flags);
	return r < 0 ? fail(l, r, "unlock it", e) : 0;
}
