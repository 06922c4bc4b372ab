#include "network/names.h"

#include "base/buf.h"
#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

enum { TEXT_MAX_BYTES = 16384 };

static void unit_name(const char *id, char ret[static SUPERVISOR_NAME_MAX])
{
	snprintf(ret, SUPERVISOR_NAME_MAX, "names@%s", id);
}

/* Whoever is not there reads what is new when it comes. */
static void tell(const struct names *n, const char *id, int signal)
{
	char name[SUPERVISOR_NAME_MAX];
	struct supervisor_unit u;

	unit_name(id, name);
	if (!supervisor_find(&n->supervisor, name, &u, NULL) && u.pid > 0)
		kill(u.pid, signal);
}

/* 1 when it did not hold just that already. */
static int replace(const char *path, struct str text, struct err *e)
{
	AUTO_BUF struct buf old = { 0 };
	int r;

	if (!file_read(AT_FDCWD, path, TEXT_MAX_BYTES, &old, NULL) && str_eq(buf_str(&old), text))
		return 0;
	return (r = file_save(AT_FDCWD, path, text, 0644, e)) ? r : 1;
}

static void conf_format(const struct names *n, const struct names_zone *z, struct buf *ret)
{
	char v4[IP4_TEXT_SIZE], v6[IP6_TEXT_SIZE];

	format_ip4(v4, z->gateway);
	format_ip6(v6, z->gateway6);
	buf_addf(ret,
		 "user=\n" /* it is who it shall be already, and nobody has a name */
		 "keep-in-foreground\n"
		 "log-facility=-\n"
		 "pid-file\n"
		 "bind-interfaces\n"
		 "listen-address=%s,%s\n"
		 "no-hosts\n"
		 "no-resolv\n"
		 "addn-hosts=%s/%s\n"
		 "local=/internal/\n"
		 "domain-needed\n"
		 "bogus-priv\n"
		 "local-ttl=5\n"
		 "cache-size=1000\n"
		 "dns-forward-max=64\n",
		 v4, v6, n->dir, z->family);
	for (size_t i = 0; z->outgoing && i < n->n_resolvers; i++)
		buf_addf(ret, "server=%s\n", n->resolvers[i]);
}

static int family_make(const struct names *n, const char *family, struct err *e)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", n->dir, family);
	return dir_make(path, 0755, e);
}

int names_start(const struct names *n, const struct names_zone *z, struct err *e)
{
	AUTO_BUF struct buf conf = { 0 };
	char path[128], name[SUPERVISOR_NAME_MAX];
	int r;

	if (!n->dir)
		return 0;
	conf_format(n, z, &conf);
	snprintf(path, sizeof(path), "%s/%s.conf", n->dir, z->id);
	if (buf_check(&conf))
		return err_set(e, -ENOMEM, "describe the network's names: out of memory");
	if ((r = family_make(n, z->family, e)) || (r = replace(path, buf_str(&conf), e)) < 0)
		return r;
	if (r)
		tell(n, z->id, SIGTERM);
	unit_name(z->id, name);
	return supervisor_start(&n->supervisor, name, e);
}

int names_stop(const struct names *n, const char *id, struct err *e)
{
	char path[128], name[SUPERVISOR_NAME_MAX];
	int r;

	if (!n->dir)
		return 0;
	unit_name(id, name);
	if ((r = supervisor_stop(&n->supervisor, name, e)) < 0)
		return r;
	snprintf(path, sizeof(path), "%s/%s.conf", n->dir, id);
	return unlink(path) && errno != ENOENT ? err_set(e, -errno, "remove %s: %m", path) : 0;
}

int names_set(const struct names *n, const char *family, const char *machine, struct str hosts, struct err *e)
{
	char path[128];
	int r;

	if (!n->dir)
		return 0;
	snprintf(path, sizeof(path), "%s/%s/%s", n->dir, family, machine);
	if (hosts.n)
		return (r = family_make(n, family, e)) ? r : replace(path, hosts, e);
	if (!unlink(path))
		return 1;
	return errno == ENOENT ? 0 : err_set(e, -errno, "remove %s: %m", path);
}

void names_read(const struct names *n, const char *id)
{
	if (n->dir)
		tell(n, id, SIGHUP);
}

/* Its machines' files go with them, and the last takes this along. */
void names_forget(const struct names *n, const char *family)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", n->dir, family);
	if (n->dir)
		rmdir(path);
}
