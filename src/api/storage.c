/* Workloads that keep data: volume, a directory that machines share; zmount, a disk of a virtual machine's own; zdb, a key-value store. And who
 * mounts them. */
#include "api/workload.h"

#include <stdio.h>

static const struct json_field snapshots_fields[] = {
	{ "every", JSON_U64, offsetof(struct snapshots, every_s), .required = true, .min = SNAPSHOTS_EVERY_MIN, .max = SNAPSHOTS_EVERY_MAX },
	{ "keep", JSON_U64, offsetof(struct snapshots, keep), .required = true, .min = 1, .max = SNAPSHOTS_KEEP_MAX },
};
static const struct json_table snapshots_table = { snapshots_fields, ARRAY_LEN(snapshots_fields), 0, NULL };

#define SIZE_FIELD(T) { "size", JSON_U64, offsetof(T, size_bytes), .required = true, .min = VOLUME_SIZE_MIN, .max = VOLUME_SIZE_MAX }
#define CLASS_FIELD(T) { "class", JSON_CHOICE, offsetof(T, class), .names = disk_class_names }

static const struct json_field volume_fields[] = {
	SIZE_FIELD(struct volume),
	CLASS_FIELD(struct volume),
	{ "snapshots", JSON_OBJECT, offsetof(struct volume, snapshots), .table = &snapshots_table },
};
static const struct json_table volume_table = { volume_fields, ARRAY_LEN(volume_fields), 0, NULL };

static const struct json_field zmount_fields[] = {
	SIZE_FIELD(struct zmount),
	CLASS_FIELD(struct zmount),
	{ "format", JSON_CHOICE, offsetof(struct zmount, format), .names = zmount_format_names },
};
static const struct json_table zmount_table = { zmount_fields, ARRAY_LEN(zmount_fields), 0, NULL };

static const struct json_field zdb_fields[] = {
	SIZE_FIELD(struct zdb),
	CLASS_FIELD(struct zdb),
	{ "memory", JSON_U64, offsetof(struct zdb, memory_bytes), .min = ZDB_MEMORY_MIN, .max = VOLUME_SIZE_MAX },
	{ "mode", JSON_CHOICE, offsetof(struct zdb, mode), .names = zdb_mode_names },
	{ "password", JSON_VALUE, offsetof(struct zdb, password), .table = &secret_value_table, .text_max = ZDB_PASSWORD_MAX },
	{ "public", JSON_BOOL, offsetof(struct zdb, is_public) },
	JOINS_FIELD(struct zdb),
};
static const struct json_table zdb_table = { zdb_fields, ARRAY_LEN(zdb_fields), 0, NULL };

static int data_decode(struct deployment *d, size_t at, const struct json_table *table, void *ret, struct err *e)
{
	struct err below = { 0 };
	int r = json_decode(d->workloads[at].data, table, ret, &below);

	return r ? err_set(e, r, "/workloads/%zu/data%s", at, below.msg) : 0;
}

int volume_open(struct deployment *d, size_t at, struct err *e)
{
	return data_decode(d, at, &volume_table, &d->workloads[at].volume, e);
}

int zmount_open(struct deployment *d, size_t at, struct err *e)
{
	return data_decode(d, at, &zmount_table, &d->workloads[at].zmount, e);
}

int zdb_open(struct deployment *d, size_t at, struct err *e)
{
	struct zdb *z = &d->workloads[at].zdb;
	int r;

	z->memory_bytes = ZDB_MEMORY_MIN;
	if ((r = data_decode(d, at, &zdb_table, z, e)))
		return r;
	if (z->is_public && !z->password)
		return err_set(
			e, -EBADMSG,
			"/workloads/%zu/data/public: without a password everybody who reaches it may write anyway: give it one, or leave out 'public'",
			at);
	return (r = joins_check(d, at, e)) ? r : secrets_used_check(d, at, e);
}

const struct workload *deployment_workload(const struct deployment *d, const char *name)
{
	for (size_t i = 0; i < d->n_workloads; i++)
		if (!strcmp(d->workloads[i].name, name))
			return &d->workloads[i];
	return NULL;
}

/* What the system of a machine itself has there. */
static const char *const taken[] = { "/proc", "/sys", "/dev", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname" };

static bool is_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return !strncmp(path, top, n) && (!path[n] || path[n] == '/');
}

static int path_check(const struct zmachine *z, size_t at, size_t i, struct err *e)
{
	const char *path = z->mounts[i].path;

	if (z->boot == BOOT_DISK)
		return !path ? 0
			     : err_set(e, -EBADMSG,
				       "/workloads/%zu/data/mounts/%zu/path: a disk image mounts by itself: leave it out, and find a zmount by its "
				       "serial number and a volume by its virtiofs tag, which are their names",
				       at, i);
	if (!path)
		return err_set(e, -EBADMSG, "/workloads/%zu/data/mounts/%zu/path: is missing", at, i);
	for (size_t k = 0; k < ARRAY_LEN(taken); k++)
		if (is_below(path, taken[k]))
			return err_set(e, -EBADMSG, "/workloads/%zu/data/mounts/%zu/path: %s is the machine's own: mount it elsewhere", at, i,
				       taken[k]);
	for (size_t k = 0; k < i; k++)
		if (!strcmp(z->mounts[k].path, path))
			return err_set(e, -EBADMSG, "/workloads/%zu/data/mounts/%zu/path: '%s' stands twice in this machine", at, i, path);
	return 0;
}

/* A disk is one machine's, which keeps its file system in its memory; several may read one that nobody writes. */
static int sharing_check(const struct deployment *d, size_t at, size_t i, struct err *e)
{
	const struct mount *own = &d->workloads[at].zmachine.mounts[i];

	for (size_t w = 0; w <= at; w++) {
		const struct zmachine *z = &d->workloads[w].zmachine;

		for (size_t k = 0; k < (w == at ? i : z->n_mounts); k++) {
			if (strcmp(z->mounts[k].name, own->name) || (w != at && z->mounts[k].read_only && own->read_only))
				continue;
			return err_set(e, -EBADMSG,
				       "/workloads/%zu/data/mounts/%zu: the zmount '%s' is mounted by '%s' too: a disk can be shared only when "
				       "all mount it 'read_only'; a volume is made to be shared",
				       at, i, own->name, d->workloads[w].name);
		}
	}
	return 0;
}

static int zmount_check(struct deployment *d, size_t at, size_t i, struct err *e)
{
	struct zmachine *z = &d->workloads[at].zmachine;
	const struct zmount *disk = &deployment_workload(d, z->mounts[i].name)->zmount;

	if (z->isolation == ISOLATION_CONTAINER)
		return err_set(e, -EBADMSG,
			       "/workloads/%zu/data/mounts/%zu: a zmount is a disk, which only a virtual machine can have: mount a volume, or set "
			       "'isolation' to 'vm'",
			       at, i);
	if (disk->format == ZMOUNT_NONE && z->boot == BOOT_IMAGE)
		return err_set(e, -EBADMSG,
			       "/workloads/%zu/data/mounts/%zu: the zmount '%s' has no format that a machine from an image could mount: give it "
			       "one, or boot a disk image",
			       at, i, z->mounts[i].name);
	z->isolation = ISOLATION_VM;
	return sharing_check(d, at, i, e);
}

int mounts_check(struct deployment *d, size_t at, struct err *e)
{
	struct zmachine *z = &d->workloads[at].zmachine;
	int r = 0;

	for (size_t i = 0; i < z->n_mounts && !r; i++) {
		const struct workload *w = deployment_workload(d, z->mounts[i].name);

		if (!w || (w->kind != WORKLOAD_VOLUME && w->kind != WORKLOAD_ZMOUNT))
			return err_set(e, -EBADMSG,
				       "/workloads/%zu/data/mounts/%zu/name: this deployment has no volume or zmount '%s': add one to its workloads",
				       at, i, z->mounts[i].name);
		r = path_check(z, at, i, e);
		if (!r && w->kind == WORKLOAD_ZMOUNT)
			r = zmount_check(d, at, i, e);
	}
	return r;
}
