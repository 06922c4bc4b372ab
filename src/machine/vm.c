/* A virtual machine: one QEMU, shut into a cage (cage.c), that boots guest-init (src/guest) with the image's layers as read-only disks.
 *
 * Four sockets lead to it: the guest's console with QEMU's own complaints, of which the last lines are kept to say why a guest did not
 * come up; the program's output and errors, which go to the log; and the control port, where the configuration goes in and three kinds of
 * words come out (doc/guest-channel.md). Nothing that comes out is believed further than that: a guest that talks nonsense is killed. */
#include "machine/runner.h"

#include "base/file.h"
#include "machine/cage.h"
#include "machine/emulator.h"
#include "machine/initrd.h"
#include "machine/session.h"
#include "svc/offers.h"
#include "sys/exec.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
	END_TIMEOUT_US = 5 * 1000000,    /* from the guest's last word to QEMU's end */
};
#define MEMORY_MIN_BYTES (96ull << 20) /* below it Debian's kernel cannot unpack itself (tried: 64, 80) */
#define ROOM_INITRD CAGE_ROOM "/initrd"

struct vm {
	struct emulator emulator; /* first */
	int layers[GUEST_LAYERS_MAX];
	size_t n_layers;
	struct emulator_mounts mounts;
	struct buf config; /* the frame that goes to each new guest */
	sd_event_source *control;
	struct guest_ear ear;
	bool oom;
	int exit_status;
	int execs[EXEC_SESSIONS_MAX]; /* our ends of the ports; -1 = none */
};

static struct vm *vm_of(const struct runner *r)
{
	return r->box_state;
}

static int layers_open(struct runner *r, struct err *e)
{
	size_t n = sd_json_variant_elements(r->spec.layers);
	struct vm *v = vm_of(r);

	if (!n || n + r->spec.n_mounts + r->spec.n_links > GUEST_LAYERS_MAX)
		return err_set(
			e, -E2BIG,
			"the image has %zu layers and a virtual machine takes 1 to %d, less one for each mount and private network: build it with fewer, or run it "
			"as a container",
			n, GUEST_LAYERS_MAX);
	for (; v->n_layers < n; v->n_layers++) {
		const char *path = sd_json_variant_string(sd_json_variant_by_index(r->spec.layers, v->n_layers));

		if ((v->layers[v->n_layers] = open(path, O_RDONLY | O_CLOEXEC)) < 0)
			return err_set(e, -errno, "open the layer %s: %m", path);
	}
	return 0;
}

static void texts_of(sd_json_variant *list, const char **ret, size_t max)
{
	for (size_t i = 0; i < max && i < sd_json_variant_elements(list); i++)
		ret[i] = sd_json_variant_string(sd_json_variant_by_index(list, i));
}

static int config_make(struct runner *r, struct err *e)
{
	const struct machine_spec *s = &r->spec;
	struct guest_config c = { .rootfs_bytes = s->rootfs_bytes,
				  .n_layers = (uint32_t)vm_of(r)->n_layers,
				  .hostname = s->hostname,
				  .workdir = s->workdir,
				  .user = s->user };
	struct in_addr address, gateway;

	if (inet_pton(AF_INET, s->address, &address) != 1 || inet_pton(AF_INET, s->gateway, &gateway) != 1)
		return err_set(e, -EBADMSG, "machine spec: '%s' and '%s' are no addresses", s->address, s->gateway);
	c.address = ntohl(address.s_addr);
	c.gateway = ntohl(gateway.s_addr);
	for (; c.n_links < s->n_links; c.n_links++) {
		int r_link = machine_link_card(&s->links[c.n_links], &c.links[c.n_links], e);

		if (r_link)
			return r_link;
	}
	texts_of(s->search, c.search, GUEST_SEARCH_MAX);
	texts_of(s->resolvers, c.resolvers, GUEST_RESOLVERS_MAX);
	texts_of(s->argv, c.argv, GUEST_ARGS_MAX);
	texts_of(s->env, c.env, GUEST_ENV_MAX);
	for (; c.n_mounts < s->n_mounts; c.n_mounts++) {
		const struct machine_mount *m = &s->mounts[c.n_mounts];

		c.mounts[c.n_mounts] = (struct guest_mount){ m->path, m->format ?: GUEST_SHARED, m->read_only };
	}
	return guest_config_encode(&c, &vm_of(r)->config, e);
}

static int vm_prepare(struct runner *r, struct err *e)
{
	struct vm *v = calloc(1, sizeof(*v));
	int ret;

	BUG_ON(!v);
	r->box_state = v;
	for (size_t i = 0; i < ARRAY_LEN(v->execs); i++)
		v->execs[i] = -1;
	if ((ret = emulator_init(&v->emulator, r, e)))
		return ret;
	if (r->spec.memory_bytes < MEMORY_MIN_BYTES)
		return err_set(e, -EINVAL, "a virtual machine needs %llu MiB of memory or more: its kernel unpacks itself there",
			       MEMORY_MIN_BYTES >> 20);
	if ((ret = layers_open(r, e)) || (ret = emulator_mounts_open(&v->mounts, &r->spec, false, e)))
		return ret;
	return config_make(r, e);
}

static void on_word(struct runner *r, const struct guest_word *w)
{
	struct vm *v = vm_of(r);

	switch (w->type) {
	case GUEST_READY:
		emulator_up(&v->emulator);
		runner_started(r);
		break;
	case GUEST_FAILED:
		emulator_why(&v->emulator, w->text, "");
		emulator_end_in(&v->emulator, END_TIMEOUT_US);
		break;
	case GUEST_EXIT:
		v->exit_status = (int)w->status;
		v->oom = w->oom;
		emulator_end_in(&v->emulator, END_TIMEOUT_US);
		break;
	default:
		bug(__FILE__, __LINE__, "a word that the ear does not know");
	}
}

static int on_control(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct runner *r = userdata;
	struct vm *v = vm_of(r);
	struct guest_word w;
	char bytes[512];
	ssize_t n = read(fd, bytes, sizeof(bytes));
	struct str p = { bytes, n > 0 ? (size_t)n : 0 };
	int ret;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
		return 0;
	}
	while ((ret = guest_ear_take(&v->ear, &p, &w)) == GUEST_EAR_WORD)
		on_word(r, &w);
	if (ret < 0) {
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
		emulator_why(&v->emulator, "the guest said what no guest-init says, and was killed", "");
		emulator_kill(r);
	}
	return 0;
}

static void execs_close(struct vm *v)
{
	for (size_t i = 0; i < ARRAY_LEN(v->execs); i++)
		fd_close(&v->execs[i]);
}

static void on_end(struct runner *r, int status)
{
	struct vm *v = vm_of(r);
	char last[160];

	(void)status; /* guest-init says what there is to say */
	v->control = sd_event_source_disable_unref(v->control);
	execs_close(v);
	if (v->exit_status >= 0) {
		runner_ended(r, v->exit_status, v->oom, NULL);
		return;
	}
	emulator_last_words(&v->emulator, last, sizeof(last));
	if (v->emulator.is_up)
		emulator_why(&v->emulator, "the virtual machine went down by itself", "");
	else
		emulator_why(&v->emulator, "the virtual machine did not come up: ", last[0] ? last : "it said nothing");
	runner_ended(r, EMULATOR_FAILED, false, v->emulator.why);
}

/* Sockets to QEMU: in each pair [0] stays here. */
struct links {
	int console[2], ports[GUEST_PORTS][2];
	struct emulator_taps taps;
};
#define LINKS_NONE { .console = { -1, -1 }, .ports = { [0 ... GUEST_PORTS - 1] = { -1, -1 } }, .taps = EMULATOR_TAPS_NONE }

static void links_close(struct links *l)
{
	for (int i = 0; i < 2; i++) {
		fd_close(&l->console[i]);
		for (size_t k = 0; k < ARRAY_LEN(l->ports); k++)
			fd_close(&l->ports[k][i]);
	}
	emulator_taps_close(&l->taps);
}

static int links_open(const struct runner *r, struct links *l, struct err *e)
{
	int failed = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, l->console);

	for (size_t i = 0; i < ARRAY_LEN(l->ports) && !failed; i++)
		failed = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, l->ports[i]);
	if (failed)
		return err_set(e, -errno, "make sockets for the virtual machine: %m");
	return emulator_taps_open(r, &l->taps, e);
}

static bool has_modules(const struct machine_spec *s)
{
	return s->modules && sd_json_variant_elements(s->modules);
}

/* In the cage: QEMU takes one archive, by its name. */
static int initrd_save(const struct machine_spec *s, struct err *e)
{
	AUTO_BUF struct buf table = { 0 }, all = { .limit = INITRD_MAX };
	int r;

	if ((r = file_read(AT_FDCWD, OFFERS_TABLE, OFFERS_MAX, &table, e)) || (r = file_read(AT_FDCWD, QEMU_INITRD, INITRD_MAX, &all, e)) ||
	    (r = initrd_add(buf_str(&table), s->modules, &all, e)))
		return r;
	return file_save(AT_FDCWD, ROOM_INITRD, buf_str(&all), 0400, e);
}

struct birth {
	const struct runner *runner;
	const struct links *links;
};

static int args_make(void *ctx, struct qemu_args *ret, struct err *e)
{
	const struct birth *b = ctx;
	const struct links *l = b->links;
	struct vm *v = vm_of(b->runner);
	const struct machine_spec *s = &b->runner->spec;
	struct qemu q = { .memory_bytes = s->memory_bytes,
			  .cpus = (unsigned)((s->cpu_milli + 999) / 1000),
			  .mac = s->mac,
			  .initrd = has_modules(s) ? ROOM_INITRD : QEMU_INITRD,
			  .tap = l->taps.way_out,
			  .links = l->taps.links,
			  .n_links = l->taps.n_links,
			  .console = l->console[1],
			  .layers = v->layers,
			  .n_layers = v->n_layers,
			  .mounts = v->mounts.disks,
			  .n_mounts = v->mounts.n_disks,
			  .shares = v->mounts.shares,
			  .n_shares = v->mounts.n_shares };
	int r = has_modules(s) ? initrd_save(s, e) : 0;

	if (r)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(q.ports); i++) {
		q.ports[i] = l->ports[i][1];
		emulator_keep(q.ports[i]);
	}
	for (size_t i = 0; i < v->n_layers; i++)
		emulator_keep(v->layers[i]);
	emulator_mounts_keep(&v->mounts, &v->emulator);
	emulator_taps_keep(&l->taps);
	emulator_keep(q.console);
	qemu_args_make(&q, ret);
	return 0;
}

/* The configuration goes into the socket at once: it is smaller than what a socket holds, and QEMU fetches it when the guest is there. */
static int config_send(struct runner *r, int fd, struct err *e)
{
	const struct buf *b = &vm_of(r)->config;
	int room = GUEST_CONFIG_MAX * 2;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	if (send(fd, b->p, b->len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)b->len)
		return err_set(e, -EIO, "hand the configuration to the virtual machine: %m");
	return 0;
}

static int sources_add(struct runner *r, struct links *l, struct err *e)
{
	struct vm *v = vm_of(r);
	int ret;

	for (size_t i = 0; i < ARRAY_LEN(l->ports); i++)
		fcntl(l->ports[i][0], F_SETFL, O_NONBLOCK);
	for (size_t i = 0; i < ARRAY_LEN(v->execs); i++)
		v->execs[i] = take_fd(l->ports[GUEST_PORT_EXEC - 1 + i][0]);
	fcntl(l->console[0], F_SETFL, O_NONBLOCK);
	if ((ret = sd_event_add_io(r->event, &v->control, l->ports[0][0], EPOLLIN, on_control, r)) < 0)
		return err_set(e, ret, "watch the virtual machine: %s", strerror(-ret));
	sd_event_source_set_io_fd_own(v->control, true);
	take_fd(l->ports[0][0]);
	if ((ret = output_listen(&r->output, OUTPUT_CONSOLE, take_fd(l->console[0]), e)) ||
	    (ret = output_listen(&r->output, OUTPUT_OUT, take_fd(l->ports[1][0]), e)))
		return ret;
	return output_listen(&r->output, OUTPUT_ERR, take_fd(l->ports[2][0]), e);
}

static int vm_start(struct runner *r, struct err *e)
{
	CLEANUP(links_close) struct links l = LINKS_NONE;
	struct birth b = { r, &l };
	struct vm *v = vm_of(r);
	int ret;

	v->ear = (struct guest_ear){ 0 };
	v->oom = false;
	v->exit_status = -1;
	if ((ret = emulator_limit(&v->emulator, r, e)) || (ret = links_open(r, &l, e)) || (ret = config_send(r, l.ports[0][0], e)))
		return ret;
	const struct emulator_start s = { has_modules(&r->spec) ? INITRD_MAX : 0, l.console[1], args_make, &b };
	if ((ret = emulator_spawn(&v->emulator, &s, on_end, e)))
		return ret;
	return (ret = sources_add(r, &l, e)) ? emulator_drop(&v->emulator, ret) : 0;
}

static void vm_term(struct runner *r)
{
	AUTO_BUF struct buf b = { 0 };
	struct vm *v = vm_of(r);

	if (!v->emulator.is_up || !v->control) { /* nobody there to be asked */
		emulator_kill(r);
		return;
	}
	guest_head_encode(&b, GUEST_SIGNAL, 4);
	buf_add_le(&b, (uint64_t)machine_spec_signal(&r->spec), 4);
	if (send(sd_event_source_get_io_fd(v->control), b.p, b.len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)b.len)
		emulator_kill(r);
}

static int vm_exec(struct runner *r, unsigned slot, const struct exec_program *p, int stream)
{
	static struct exec_ear ear = { .from = EXEC_FROM_CALLER };
	AUTO_BUF struct buf first = { 0 };
	int port = vm_of(r)->execs[slot];
	struct err e = { 0 };

	session_keep(stream, port);
	if (exec_put_start(&first, p, &e)) {
		exec_refuse(stream, &ear, e.msg);
		return 0;
	}
	return exec_relay(stream, port, buf_str(&first)) ? 1 : 0;
}

static void vm_deinit(struct runner *r)
{
	struct vm *v = vm_of(r);

	if (!v)
		return;
	emulator_deinit(&v->emulator);
	sd_event_source_disable_unref(v->control);
	execs_close(v);
	for (size_t i = 0; i < v->n_layers; i++)
		fd_close(&v->layers[i]);
	emulator_mounts_close(&v->mounts);
	buf_deinit(&v->config);
	free(v);
}

const struct box_ops vm_box = {
	.prepare = vm_prepare,
	.start = vm_start,
	.term = vm_term,
	.kill = emulator_kill,
	.pause = emulator_pause,
	.exec = vm_exec,
	.deinit = vm_deinit,
};
